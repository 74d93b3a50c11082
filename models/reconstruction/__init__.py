"""From posed RGBA views to a coloured triangle mesh (sec. 5.3). Plain arrays in and out; knows no renderer."""
