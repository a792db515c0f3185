//! YAML as a tree that knows its lines. Only what conversations need of it: texts, lists, maps; no anchors, no types.

use saphyr_parser::{Event, Parser, ScalarStyle};

/// How deep a document may nest. Conversations need four levels.
const DEEPEST: usize = 16;

/// A value and its line.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    /// Counted from 1.
    pub(super) line: usize,
    pub(super) value: Value,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// Nothing, or `null` or `~` without quotes.
    Null,
    /// Whatever it looks like: a number is a text here.
    Text(String),
    List(Vec<Node>),
    /// In the order of the file. Keys are texts, with their lines.
    Map(Vec<(String, usize, Node)>),
}

impl Node {
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// What it is, in words for an error.
    pub(super) fn kind(&self) -> String {
        match &self.value {
            Value::Null => "nothing".into(),
            Value::Text(text) => format!("`{text}`"),
            Value::List(_) => "a list".into(),
            Value::Map(_) => "a table of keys".into(),
        }
    }
}

/// A fault of the text: its line and a sentence.
pub(super) type Fault = (usize, String);

/// Reads one document.
pub(super) fn read(text: &str) -> Result<Node, Fault> {
    let mut reader = Reader { parser: Parser::new_from_str(text), last: 1 };
    let nothing = Node { line: 1, value: Value::Null };
    let mut root = None;
    loop {
        match reader.next()? {
            (Event::StreamEnd, _) => return Ok(root.unwrap_or(nothing)),
            (Event::DocumentStart(_), line) if root.is_some() => {
                return Err((line, "one file holds one conversation; `---` begins a second one".into()));
            }
            (Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing, _) => {}
            (event, line) => root = Some(reader.node(event, line, 0)?),
        }
    }
}

struct Reader<'t> {
    parser: Parser<'t, saphyr_parser::StrInput<'t>>,
    last: usize,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Result<(Event<'t>, usize), Fault> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => {
                self.last = span.start.line().max(1);
                Ok((event, self.last))
            }
            Some(Err(error)) => {
                let hint = if error.info().contains("anchor") || error.info().contains("alias") {
                    "; a text that begins with * or & stands in quotes"
                } else {
                    ""
                };
                Err((error.marker().line().max(1), format!("this is no YAML: {}{hint}", error.info())))
            }
            None => Ok((Event::StreamEnd, self.last)),
        }
    }

    fn node(&mut self, event: Event<'t>, line: usize, depth: usize) -> Result<Node, Fault> {
        if depth > DEEPEST {
            return Err((line, format!("a conversation nests at most {DEEPEST} levels deep")));
        }
        let value = match event {
            Event::Scalar(text, style, ..) => match (&*text, style) {
                ("" | "~" | "null", ScalarStyle::Plain) => Value::Null,
                _ => Value::Text(text.into_owned()),
            },
            Event::SequenceStart(..) => {
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        (Event::SequenceEnd, _) => break,
                        (event, line) => items.push(self.node(event, line, depth + 1)?),
                    }
                }
                Value::List(items)
            }
            Event::MappingStart(..) => {
                let mut fields: Vec<(String, usize, Node)> = Vec::new();
                loop {
                    let (event, line) = self.next()?;
                    if matches!(event, Event::MappingEnd) {
                        break;
                    }
                    let key = match self.node(event, line, depth + 1)?.value {
                        Value::Text(key) => key,
                        Value::Null => "null".into(),
                        _ => return Err((line, "a key must be a text".into())),
                    };
                    if fields.iter().any(|(other, ..)| *other == key) {
                        return Err((line, format!("`{key}` stands here twice")));
                    }
                    let (event, value_line) = self.next()?;
                    let mut value = self.node(event, value_line, depth + 1)?;
                    // An absent value is marked where the next thing begins.
                    if value.value == Value::Null {
                        value.line = line;
                    }
                    fields.push((key, line, value));
                }
                Value::Map(fields)
            }
            Event::Alias(_) => {
                return Err((
                    line,
                    "aliases are not used here: put a text that begins with * in quotes".into(),
                ));
            }
            _ => return Err((line, "this is no YAML: the document is cut off".into())),
        };
        Ok(Node { line, value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(node: &Node) -> String {
        let value = match &node.value {
            Value::Null => "null".into(),
            Value::Text(text) => format!("{text:?}"),
            Value::List(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(" ")),
            Value::Map(fields) => {
                let fields: Vec<String> =
                    fields.iter().map(|(key, line, node)| format!("{key}@{line}={}", shown(node))).collect();
                format!("{{{}}}", fields.join(" "))
            }
        };
        format!("{}:{value}", node.line)
    }

    #[test]
    fn values_are_texts_that_know_their_lines() {
        let text = "title: Да\ntalk:\n  - press: \"1\"\n    after: 3s\n  - silence\nexpect: { kopecks: 30, operator: null }\nnow:\n";
        assert_eq!(
            shown(&read(text).unwrap()),
            "1:{title@1=1:\"Да\" talk@2=3:[3:{press@3=3:\"1\" after@4=4:\"3s\"} 5:\"silence\"] \
             expect@6=6:{kopecks@6=6:\"30\" operator@6=6:null} now@7=7:null}"
        );
        assert_eq!(shown(&read("").unwrap()), "1:null");
        assert_eq!(shown(&read("{\"press\": \"1\"}").unwrap()), "1:{press@1=1:\"1\"}");
    }

    #[test]
    fn what_is_no_yaml_is_told_with_its_line() {
        for (text, line, part) in [
            ("a: 1\nb: [1, 2\nc: 3\n", 3, "no YAML"),
            ("a: 1\n---\nb: 2\n", 2, "one conversation"),
            ("a: 1\nb: 2\na: 3\n", 3, "twice"),
            ("a: 1\npress: *\n", 2, ""),
            ("a: &x 1\nb: *x\n", 2, "aliases"),
            ("? [a]\n: 1\n", 1, "a key must be a text"),
        ] {
            let (found, why) = read(text).unwrap_err();
            assert_eq!(found, line, "{text:?}: {why}");
            assert!(why.contains(part), "{text:?}: {why}");
        }
        let deep = "[".repeat(1000);
        assert!(read(&deep).is_err());
    }
}
