"""Everyday objects built in code: the embedded data source, which needs no network and no licence.

Each family is there for one of these reasons:

* The demo's defaults (params.yaml) select one object of books, car, duck, fruit_bowl, robot, rocket and vase, and drop
  mug, chair and snowman for their score and mushroom as surplus, so the ledger shows both kinds of reasons.
* The small studies (tests/bench/studies) choose from 40 objects of each of mug, chair, car, mushroom, duck and
  snowman: a handle, legs and wheels that some views hide, and round bodies whose texture alone tells the azimuth.
* The golden renders (tests/golden) hold mug, car, robot and guitar; the guitar has the thinnest parts, its strings.
"""
