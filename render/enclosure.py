"""Whether an object shows itself or the surface around it, and when it is turned away for that."""

from dataclasses import dataclass

from render.errors import Unrenderable

MOST = 0.5
"""Largest share of each measure that passes; docs/rendering.md says what real objects have."""


@dataclass(frozen=True)
class Enclosure:
    """How much of an object is the inside of something; all shares lie between 0 and 1."""

    inside: float
    """Share of what is seen from all around that is the inside of surfaces which look inwards."""
    hidden: float
    """Share of the other faces that one part hides by surrounding everything."""
    shell: str
    """Name of that part; empty where there is none."""
    backward: float
    """Share of the surface that is wound against its own normals."""

    def check(self) -> None:
        """Raise Unrenderable with the cause when the views would show the inside, the shell or blackness."""
        if self.backward > MOST:
            raise Unrenderable(
                f"inside out: {self.backward:.0%} of the surface is wound against its normals and would be black; "
                "turn the faces or recalculate the normals"
            )
        if self.inside > MOST:
            raise Unrenderable(
                f"seen from inside: {self.inside:.0%} of what the cameras see is the inside of surfaces that look "
                "inwards: a sky dome, a room, or an object with its faces inside out; take the dome away or turn the "
                "faces, or set normalize.enclosed to keep"
            )
        if self.hidden > MOST:
            raise Unrenderable(
                f"enclosed: '{self.shell}' surrounds everything and hides {self.hidden:.0%} of the other faces, as a "
                "sky dome or a closed room does; take it away, or set normalize.enclosed to keep"
            )
