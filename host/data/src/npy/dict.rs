//! The text of a header: a Python dictionary with three keys, in any order.

use super::NpyError;

/// What the dictionary holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Dict {
    /// The type; for a structure, `|V` and its list of fields as it is written.
    pub(super) descr: String,
    pub(super) fortran_order: bool,
    pub(super) shape: Vec<u64>,
}

/// What is left to be read.
struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    /// Takes `token` if it comes next.
    fn take(&mut self, token: &str) -> bool {
        self.skip_space();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// A string in either kind of quotes. Escapes do not occur in what NumPy writes.
    fn string(&mut self) -> Option<&'a str> {
        self.skip_space();
        let quote = self.rest.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
        let (text, rest) = self.rest[1..].split_once(quote)?;
        self.rest = rest;
        Some(text)
    }

    /// `(1, 2)`, `(1,)` or `()`; Python 2 wrote `1L`.
    fn tuple(&mut self) -> Option<Vec<u64>> {
        if !self.take("(") {
            return None;
        }
        let mut numbers = Vec::new();
        while !self.take(")") {
            self.skip_space();
            let end = self.rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.rest.len());
            numbers.push(self.rest[..end].parse().ok()?);
            self.rest = &self.rest[end..];
            self.take("L");
            if !self.take(",") && !self.rest.trim_start().starts_with(')') {
                return None;
            }
        }
        Some(numbers)
    }

    /// A list, as it is written: only for the message that refuses it.
    fn list(&mut self) -> Option<&'a str> {
        self.skip_space();
        let mut depth = 0u32;
        for (i, c) in self.rest.char_indices() {
            match c {
                '[' => depth += 1,
                ']' => depth = depth.checked_sub(1)?,
                _ => {}
            }
            if depth == 0 {
                let (list, rest) = self.rest.split_at(i + c.len_utf8());
                self.rest = rest;
                return list.starts_with('[').then_some(list);
            }
        }
        None
    }
}

/// Reads the dictionary.
pub(super) fn parse(text: &str) -> Result<Dict, NpyError> {
    let mut cursor = Cursor { rest: text };
    let (mut descr, mut fortran_order, mut shape) = (None, None, None);
    if !cursor.take("{") {
        return Err(NpyError::Header("it is not a dictionary"));
    }
    while !cursor.take("}") {
        let key = cursor.string().ok_or(NpyError::Header("a key is not a string"))?;
        if !cursor.take(":") {
            return Err(NpyError::Header("a key has no value"));
        }
        match key {
            "descr" => {
                let name = cursor.string().map(str::to_owned);
                let fields = |list: &str| format!("|V{list}");
                descr = name.or_else(|| cursor.list().map(fields));
                if descr.is_none() {
                    return Err(NpyError::Header("'descr' is neither a string nor a list"));
                }
            }
            "fortran_order" => {
                fortran_order = if cursor.take("True") { Some(true) } else { cursor.take("False").then_some(false) };
            }
            "shape" => shape = cursor.tuple(),
            _ => return Err(NpyError::Header("it has a key other than 'descr', 'fortran_order' and 'shape'")),
        }
        if !cursor.take(",") && !cursor.rest.trim_start().starts_with('}') {
            return Err(NpyError::Header("a value is followed by neither `,` nor `}`"));
        }
    }
    if !cursor.rest.trim().is_empty() {
        return Err(NpyError::Header("something follows the dictionary"));
    }
    Ok(Dict {
        descr: descr.ok_or(NpyError::Header("it has no 'descr'"))?,
        fortran_order: fortran_order
            .ok_or(NpyError::Header("'fortran_order' is missing, or neither True nor False"))?,
        shape: shape.ok_or(NpyError::Header("'shape' is missing, or not a tuple of numbers"))?,
    })
}
