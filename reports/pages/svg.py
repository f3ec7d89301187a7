"""An SVG file as a part of a page: names of its own, its description, and nothing that could reach outside."""

import re
from xml.etree import ElementTree

_DROPPED = {"metadata", "script", "foreignObject", "title", "desc", "a", "animate", "set", "iframe"}
_POINTS = 96 / 72  # CSS pixels
_PAGE = 720.0


def inline_svg(svg: str, *, name: str, alt: str) -> str:
    """The figure as an element to stand in HTML.

    Args:
        svg: the text of an SVG file.
        name: put before every id, so that two figures of a page share none.
        alt: what somebody reads who does not see it.
    """
    root = ElementTree.fromstring(svg)
    ids = {element.get("id"): f"{name}-{element.get('id')}" for element in root.iter() if element.get("id")}
    _clean(root, ids, name)
    width = _width(root)
    for attribute in ("width", "height", "version", "id"):
        root.attrib.pop(attribute, None)
    root.attrib |= {"id": f"{name}-svg", "role": "img", "aria-label": alt}
    root.set("style", f"max-width:{width:.0f}px;--natural:{width:.0f}px")
    return ElementTree.tostring(root, encoding="unicode")


def _clean(element: ElementTree.Element, ids: dict[str | None, str], name: str) -> None:
    """Without namespaces, scripts, links out and ids that another figure may have; its children too."""
    element.tag = _local(element.tag)
    element.attrib = {_local(key): value for key, value in element.attrib.items() if _allowed(_local(key), value)}
    for key, value in element.attrib.items():
        element.set(key, _renamed(key, value, ids))
    if element.tag == "style" and element.text:
        element.text = element.text.replace("*{", f"#{name}-svg *{{")
    for child in list(element):
        if _local(child.tag) in _DROPPED:
            element.remove(child)
        else:
            _clean(child, ids, name)


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def _allowed(key: str, value: str) -> bool:
    if key.lower().startswith("on") or key == "space":
        return False
    if key == "href":
        return value.startswith(("#", "data:image/"))
    return "url(" not in value.replace("url(#", "")


def _renamed(key: str, value: str, ids: dict[str | None, str]) -> str:
    if key == "id":
        return ids[value]
    if key == "href" and value.startswith("#"):
        return "#" + ids.get(value[1:], value[1:])
    return re.sub(r"url\(#([^)]+)\)", lambda found: f"url(#{ids.get(found[1], found[1])})", value)


def _width(root: ElementTree.Element) -> float:
    """Width in CSS pixels; that of a page where the file does not say it."""
    text = root.get("width", "")
    try:
        if text.endswith("pt"):
            return float(text[:-2]) * _POINTS
        return float(text.removesuffix("px"))
    except ValueError:
        return _PAGE
