//! Calls of a function that are made up: like the one that `taskhost inspect` shows, with other values.

use taskhost_protocol::kernel::Function;

/// The function that is meant by a name, as far as that can be said here; how names are read is known to workers.
pub(super) fn function<'a>(functions: &'a [Function], name: &str) -> Option<&'a Function> {
    let last = |name: &str| name.rsplit(['#', '.', '/']).next().unwrap_or_default().to_owned();
    let exact = functions.iter().find(|function| function.name == name);
    let mut alike = functions.iter().filter(|function| {
        let interface = name.strip_suffix(&last(name)).unwrap_or_default().trim_end_matches(['#', '.', '/']);
        last(&function.name) == last(name) && function.name.contains(interface)
    });
    exact.or_else(|| alike.next().filter(|_| alike.next().is_none()))
}

/// An example of a line with other values in it: numbers, truth values and texts. The first, number 0, is the example.
pub(super) fn varied(example: &str, ty: &str, number: u64) -> String {
    if number == 0 {
        return example.to_owned();
    }
    // A case of that name is no text.
    let is_case = |name: &str| [",", " }", "("].iter().any(|end| ty.contains(&format!("{{ {name}{end}")));
    let varies_texts = !is_case("text");
    let mut line = String::new();
    let mut rest = example;
    let mut place = 0;
    while let Some(first) = rest.chars().next() {
        let len = match first {
            '"' => rest[1..].find('"').map_or(rest.len(), |end| end + 2),
            _ if is_word(first) => rest.find(|character| !is_word(character)).unwrap_or(rest.len()),
            _ => first.len_utf8(),
        };
        let (word, behind) = rest.split_at(len);
        let value = (number * 7 + place * 3) % 50;
        match word {
            // What stands before a colon is a name.
            _ if behind.starts_with(':') => line.push_str(word),
            "1" => line.push_str(&value.to_string()),
            "1.5" => line.push_str(&format!("{value}.25")),
            "true" => line.push_str(if value.is_multiple_of(2) { "true" } else { "false" }),
            "\"text\"" if varies_texts => line.push_str(&format!("\"text {value}\"")),
            other => line.push_str(other),
        }
        place += u64::from(is_word(first) || first == '"');
        rest = behind;
    }
    line
}

fn is_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || "+-.".contains(character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_vary_and_names_do_not() {
        let example = r#"[{"text": "text", "ok": [1, 1.5]}, "a", true]"#;
        assert_eq!(varied(example, "func(..)", 0), example);
        assert_eq!(varied(example, "func(..)", 1), r#"[{"text": "text 10", "ok": [16, 19.25]}, "a", false]"#);
        assert_eq!(varied("\"text\"", "func(of: enum { text, image })", 3), "\"text\"");
    }

    #[test]
    fn a_function_is_found_by_what_tells_it_from_others() {
        let names = ["greet", "example:numbers/math@1.2.0#add", "example:numbers/more-math@1.2.0#add"];
        let functions: Vec<Function> = names
            .iter()
            .map(|name| Function { name: (*name).into(), ty: "func()".into(), call: Ok(String::new()) })
            .collect();
        let found = |name| function(&functions, name).map(|function| function.name.as_str());
        assert_eq!(found("greet"), Some("greet"));
        assert_eq!(found("more-math.add"), Some(names[2]));
        assert_eq!(found("example:numbers/math@1.2.0#add"), Some(names[1]));
        assert_eq!((found("add"), found("none")), (None, None));
    }
}
