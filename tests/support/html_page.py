"""What stands on an HTML page, and that its tags nest."""

import html.parser

VOID = {"meta", "br", "img", "link", "hr", "input", "wbr"}


class Page(html.parser.HTMLParser):
    """Collects what the tests ask about and sees that tags nest."""

    def __init__(self, text):
        super().__init__()
        self.open_tags, self.tags, self.ids, self.references = [], [], [], []
        self.text, self.scripts = "", []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open_tags.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        for name, value in attrs:
            if name == "id":
                self.ids.append(value)
            if name in {"href", "src", "xlink:href", "srcset", "data", "action"}:
                self.references.append(value)

    def handle_endtag(self, tag):
        assert self.open_tags.pop() == tag

    def handle_data(self, data):
        if self.open_tags[-1:] == ["script"]:
            self.scripts.append(data)
        else:
            self.text += data
