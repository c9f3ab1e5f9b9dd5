"""Code in running text that is a public name (`grad`, `pb.vmap`, `jnp.where`) links to its place in the reference."""

from __future__ import annotations

from collections.abc import Iterator

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.nodes import make_refnode

#: What modules are called in programs.
SHORT = {"pb": "pullback", "jnp": "pullback.numpy", "jsp": "pullback.scipy"}


class Names(SphinxPostTransform):
    default_priority = 400

    def run(self, **_: object) -> None:
        objects = self.env.get_domain("py").objects  # type: ignore[attr-defined]
        assert self.app.builder is not None
        for literal in list(self.document.findall(nodes.literal)):
            if isinstance(literal.parent, nodes.reference) or any(isinstance(n, nodes.title) for n in _around(literal)):
                continue
            text = literal.astext().removesuffix("()")
            head, _, rest = text.partition(".")
            candidates = [f"pullback.{text}", text, f"{SHORT[head]}.{rest}" if head in SHORT else text]
            name = next((c for c in candidates if c in objects and c.startswith("pullback.")), None)
            if name is None or name in _about(literal):
                continue
            place = objects[name]
            literal.replace_self(
                make_refnode(self.app.builder, self.env.docname, place.docname, place.node_id, literal.deepcopy(), name)
            )


def _around(node: nodes.Node) -> Iterator[nodes.Node]:
    while node.parent is not None:
        node = node.parent
        yield node


def _about(literal: nodes.literal) -> set[str]:
    """The names whose entries of the reference the literal stands in: they need no link to themselves."""
    entries = [n for n in _around(literal) if isinstance(n, addnodes.desc)]
    return {i for entry in entries for sig in entry.findall(addnodes.desc_signature) for i in sig["ids"]}


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_post_transform(Names)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
