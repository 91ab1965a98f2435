//! The attribute `kernel` of `taskhost-kernel`, where it is documented. It needs to know no more of a function than its name
//! and its documentation, so it reads tokens as they are, without a parser's crate.

use proc_macro::{Delimiter, TokenStream, TokenTree};

/// See `taskhost_kernel::kernel`.
#[proc_macro_attribute]
pub fn kernel(options: TokenStream, function: TokenStream) -> TokenStream {
    let made = Options::read(options).and_then(|options| generated(&options, &function));
    let code = made.unwrap_or_else(|error| format!("::core::compile_error!({error:?});"));
    let mut all = function;
    all.extend(code.parse::<TokenStream>().expect("what is generated is Rust"));
    all
}

/// What stands in the attribute's brackets. Texts are literals with their quotes.
#[derive(Default)]
struct Options {
    summary: Option<String>,
    split: Option<String>,
    merge: Option<String>,
    result_length: Option<String>,
    is_typed: bool,
}

impl Options {
    fn read(tokens: TokenStream) -> Result<Self, String> {
        let mut options = Self::default();
        let mut tokens = tokens.into_iter();
        while let Some(key) = tokens.next() {
            let key = key.to_string();
            if key == "typed" {
                options.is_typed = true;
            } else {
                let into = match key.as_str() {
                    "summary" => &mut options.summary,
                    "split" => &mut options.split,
                    "merge" => &mut options.merge,
                    "result_length" => &mut options.result_length,
                    _ => {
                        return Err(format!(
                            "`{key}` is no option of #[kernel]: there are summary, split, merge, result_length and typed"
                        ));
                    }
                };
                let (equals, value) = (tokens.next(), tokens.next());
                let is_text = |value: &TokenTree| value.to_string().starts_with('"');
                let is_length = |value: &TokenTree| key == "result_length" && matches!(value, TokenTree::Literal(_));
                match (equals, value) {
                    (Some(TokenTree::Punct(equals)), Some(value))
                        if equals.as_char() == '=' && (is_text(&value) || is_length(&value)) =>
                    {
                        *into = Some(value.to_string());
                    }
                    _ => return Err(format!("#[kernel] wants `{key} = \"…\"`")),
                }
            }
            match tokens.next() {
                None => break,
                Some(TokenTree::Punct(comma)) if comma.as_char() == ',' => {}
                Some(other) => return Err(format!("#[kernel] wants a comma before `{other}`")),
            }
        }
        Ok(options)
    }
}

fn generated(options: &Options, function: &TokenStream) -> Result<String, String> {
    let tokens: Vec<TokenTree> = function.clone().into_iter().collect();
    let keyword = tokens.iter().position(|token| matches!(token, TokenTree::Ident(word) if word.to_string() == "fn"));
    let Some(TokenTree::Ident(name)) = keyword.and_then(|keyword| tokens.get(keyword + 1)) else {
        return Err("#[kernel] stands before a function".into());
    };
    let name = name.to_string();
    let kernel = format!("{}Kernel", camel(&name));
    let summary = options.summary.clone().unwrap_or_else(|| format!("{:?}", documentation(&tokens)));
    let mut description = format!("::taskhost_kernel::Description::new({summary})");
    for (method, value) in [("split", &options.split), ("merge", &options.merge)] {
        if let Some(value) = value {
            description.push_str(&format!(".{method}({value})"));
        }
    }
    if let Some(length) = &options.result_length {
        let length = match length.as_str() {
            "\"same\"" => "Same".to_owned(),
            "\"unknown\"" => "Unknown".to_owned(),
            text if text.starts_with('"') => {
                return Err("result_length is \"same\", \"unknown\" or a number of bytes".into());
            }
            number => format!("Exactly({number})"),
        };
        description.push_str(&format!(".result_length(::taskhost_kernel::ResultLength::{length})"));
    }
    let call = if options.is_typed {
        format!("::taskhost_kernel::typed::call({name}, item)")
    } else {
        format!("{name}(item)")
    };
    Ok(format!(
        "#[doc(hidden)] struct {kernel};
        impl ::taskhost_kernel::Kernel for {kernel} {{
            fn describe() -> ::taskhost_kernel::Description {{ {description} }}
        }}
        impl ::taskhost_kernel::Map for {kernel} {{
            fn process(item: &[u8]) -> ::taskhost_kernel::Result<::std::vec::Vec<u8>> {{ {call} }}
        }}
        ::taskhost_kernel::export!({kernel} as map);"
    ))
}

/// The first line of a function's documentation.
fn documentation(tokens: &[TokenTree]) -> String {
    let attributes = tokens.iter().filter_map(|token| match token {
        TokenTree::Group(group) if group.delimiter() == Delimiter::Bracket => Some(group.stream().to_string()),
        _ => None,
    });
    let mut lines = attributes.filter_map(|text| {
        let text = text.strip_prefix("doc")?.trim_start().strip_prefix('=')?.trim().to_owned();
        let inner = text.strip_prefix("r").unwrap_or(&text).trim_matches(['"', '#']).trim().to_owned();
        (!inner.is_empty()).then(|| inner.replace("\\\"", "\"").replace("\\'", "'"))
    });
    lines.next().unwrap_or_default()
}

/// The name of a function as that of a type.
fn camel(name: &str) -> String {
    let words = name.trim_start_matches("r#").split('_').filter(|word| !word.is_empty());
    let capital = |word: &str| word[..1].to_uppercase() + &word[1..];
    words.map(capital).collect()
}
