"""Turn the Markdown that organisers write into HTML for pages, or into one line of plain text for other uses.

What must stay true: no text can run a script in a reader's browser. So HTML tags that an organiser writes are shown
as text. From the HTML that the Markdown becomes, each tag and attribute that is not in the lists below is removed.
Pictures are removed too, because pages show no pictures of other sites.
"""

import html
from functools import lru_cache

import nh3
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt

TAGS = {
    *("p", "br", "hr", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li"),
    *("strong", "em", "a", "blockquote", "code", "pre"),
}
ATTRIBUTES = {"a": {"href", "title"}, "ol": {"start"}}
SCHEMES = {"http", "https", "mailto", "tel"}
LINK_REL = "noopener noreferrer nofollow"

# A line break in the text is also a line break on the page: people who do not know Markdown expect this.
_parser = MarkdownIt("commonmark", {"html": False, "breaks": True}).disable("image")


@lru_cache(maxsize=256)
def to_html(text: str) -> SafeString:
    """Return a text in Markdown as HTML that is safe to show. Its headings begin with `h2`: a page has the `h1`."""
    tokens = _parser.parse(text)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1]) + 1, 6)}"
    written = _parser.renderer.render(tokens, _parser.options, {})
    clean = nh3.clean(written, tags=TAGS, attributes=ATTRIBUTES, url_schemes=SCHEMES, link_rel=LINK_REL)
    return mark_safe(clean)  # noqa: S308


@lru_cache(maxsize=256)
def to_line(text: str) -> str:
    """Return a text in Markdown as one line of plain text, for descriptions that search engines read."""
    return " ".join(html.unescape(nh3.clean(to_html(text), tags=set())).split())
