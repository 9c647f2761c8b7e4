//! The grammar of the simulated shell: lists, conditions, loops.

/// A parsed script; words are raw, with their quotes.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Command(Vec<String>),
    Sequence(Vec<Self>),
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
    If(Box<Self>, Box<Self>, Box<Self>),
    While(Box<Self>, Box<Self>),
    For(String, Vec<String>, Box<Self>),
}

pub(super) fn parse(text: &str) -> Result<Node, String> {
    let mut parser = Parser {
        tokens: tokens(text)?,
        place: 0,
    };
    let node = parser.list()?;
    match parser.peek() {
        None => Ok(node),
        Some(token) => Err(format!("unexpected \"{token}\"")),
    }
}

const OPERATORS: [&str; 6] = [";", "&&", "||", "|", "&", "\n"];

fn tokens(text: &str) -> Result<Vec<String>, String> {
    let mut tokens = Vec::new();
    let mut word = String::new();
    let mut letters = text.chars().peekable();
    let mut quote: Option<char> = None;
    while let Some(letter) = letters.next() {
        match (letter, quote) {
            ('\\', None) if letters.peek() == Some(&'\n') => {
                letters.next();
            }
            ('\\', None | Some('"')) => {
                word.push(letter);
                word.extend(letters.next());
            }
            ('\'' | '"', None) => {
                quote = Some(letter);
                word.push(letter);
            }
            (_, Some(open)) => {
                if letter == open {
                    quote = None;
                }
                word.push(letter);
            }
            ('#', None) if word.is_empty() => {
                while letters.peek().is_some_and(|&next| next != '\n') {
                    letters.next();
                }
            }
            (' ' | '\t' | '\r', None) => push(&mut tokens, &mut word),
            ('&', None) if word.ends_with('>') => word.push(letter),
            (';' | '\n' | '&' | '|', None) => {
                push(&mut tokens, &mut word);
                let mut operator = letter.to_string();
                if matches!(letter, '&' | '|') && letters.peek() == Some(&letter) {
                    operator.push(letter);
                    letters.next();
                }
                tokens.push(operator);
            }
            (other, None) => word.push(other),
        }
    }
    if quote.is_some() {
        return Err("unterminated quoted string".to_owned());
    }
    push(&mut tokens, &mut word);
    Ok(tokens)
}

fn push(tokens: &mut Vec<String>, word: &mut String) {
    if !word.is_empty() {
        tokens.push(std::mem::take(word));
    }
}

struct Parser {
    tokens: Vec<String>,
    place: usize,
}

impl Parser {
    fn peek(&self) -> Option<&str> {
        self.tokens.get(self.place).map(String::as_str)
    }

    fn next(&mut self) -> Option<String> {
        let token = self.tokens.get(self.place).cloned();
        self.place += 1;
        token
    }

    fn skip_ends(&mut self) {
        while matches!(self.peek(), Some(";" | "\n" | "&")) {
            self.place += 1;
        }
    }

    fn expect(&mut self, word: &str) -> Result<(), String> {
        match self.next() {
            Some(token) if token == word => Ok(()),
            Some(token) => Err(format!("unexpected \"{token}\" (expecting \"{word}\")")),
            None => Err(format!("unexpected end of file (expecting \"{word}\")")),
        }
    }

    /// Commands up to a word that ends a list, which is left there.
    fn list(&mut self) -> Result<Node, String> {
        let mut parts = Vec::new();
        loop {
            self.skip_ends();
            match self.peek() {
                None | Some("done" | "fi" | "then" | "do" | "else") => break,
                Some(_) => parts.push(self.chain()?),
            }
        }
        Ok(Node::Sequence(parts))
    }

    fn chain(&mut self) -> Result<Node, String> {
        let mut left = self.pipeline()?;
        loop {
            let and = match self.peek() {
                Some("&&") => true,
                Some("||") => false,
                _ => return Ok(left),
            };
            self.place += 1;
            while self.peek() == Some("\n") {
                self.place += 1;
            }
            let right = self.pipeline()?;
            left = if and {
                Node::And(Box::new(left), Box::new(right))
            } else {
                Node::Or(Box::new(left), Box::new(right))
            };
        }
    }

    /// Of a pipeline only the last command is run: nothing here reads its input.
    fn pipeline(&mut self) -> Result<Node, String> {
        let mut node = self.single()?;
        while self.peek() == Some("|") {
            self.place += 1;
            node = self.single()?;
        }
        Ok(node)
    }

    fn single(&mut self) -> Result<Node, String> {
        match self.peek() {
            Some("while") => {
                self.place += 1;
                let condition = self.list()?;
                self.expect("do")?;
                let body = self.list()?;
                self.expect("done")?;
                Ok(Node::While(Box::new(condition), Box::new(body)))
            }
            Some("for") => {
                self.place += 1;
                let name = self.next().unwrap_or_default();
                self.expect("in")?;
                let mut words = Vec::new();
                while let Some(word) = self.peek().filter(|word| !OPERATORS.contains(word)) {
                    words.push(word.to_owned());
                    self.place += 1;
                }
                self.skip_ends();
                self.expect("do")?;
                let body = self.list()?;
                self.expect("done")?;
                Ok(Node::For(name, words, Box::new(body)))
            }
            Some("if") => {
                self.place += 1;
                let condition = self.list()?;
                self.expect("then")?;
                let then = self.list()?;
                let otherwise = if self.peek() == Some("else") {
                    self.place += 1;
                    self.list()?
                } else {
                    Node::Sequence(Vec::new())
                };
                self.expect("fi")?;
                Ok(Node::If(Box::new(condition), Box::new(then), Box::new(otherwise)))
            }
            _ => {
                let mut words = Vec::new();
                while let Some(word) = self.peek().filter(|word| !OPERATORS.contains(word)) {
                    words.push(word.to_owned());
                    self.place += 1;
                }
                if words.is_empty() {
                    return Err(self.peek().map_or("unexpected end of file".to_owned(), |token| {
                        format!("unexpected \"{token}\"")
                    }));
                }
                Ok(Node::Command(words))
            }
        }
    }
}
