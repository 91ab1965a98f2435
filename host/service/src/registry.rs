//! Kernels in registries of the kind that containers come from (OCI): what names one there, and what a registry says of it.

use std::str::FromStr;

use serde::Deserialize;

use crate::blobs::{ContentName, Sha256};
use crate::fetch::{Host, is_host};

/// Bytes of a manifest: what registries themselves take.
pub const MANIFEST_BYTES: u64 = 4 << 20;

/// Longest name of a kernel in a registry.
const NAME_BYTES: usize = 255;

/// How manifests are written.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// What a layer may be that is a kernel: as it is now, and as tools wrote it before.
const LAYERS: [&str; 2] = ["application/wasm", "application/vnd.wasm.content.layer.v1+wasm"];

/// A kernel in a registry, by the digest of its manifest: nobody can put another one in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The registry.
    pub host: String,
    name: String,
    /// The digest of its manifest.
    pub manifest: Sha256,
}

/// What names no kernel in a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoReference {
    /// It is something else.
    #[error("a kernel in a registry is written as oci://HOST/NAME@sha256:…")]
    Unreadable,
    /// It may mean another one tomorrow.
    #[error("name it by the digest of its manifest, as NAME@sha256:…: a tag may mean something else tomorrow")]
    NoDigest,
}

impl FromStr for Reference {
    type Err = NoReference;

    fn from_str(text: &str) -> Result<Self, NoReference> {
        let rest = text.strip_prefix("oci://").ok_or(NoReference::Unreadable)?;
        let (host, rest) = rest.split_once('/').ok_or(NoReference::Unreadable)?;
        let (name, digest) = rest.split_once('@').ok_or(NoReference::NoDigest)?;
        let is_part = |part: &str| {
            let is_sign = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
            part.starts_with(|sign: char| sign.is_ascii_alphanumeric()) && part.bytes().all(is_sign)
        };
        if !is_host(host) || name.len() > NAME_BYTES || !name.split('/').all(is_part) {
            return Err(NoReference::Unreadable);
        }
        match digest.parse() {
            Ok(ContentName::Sha256(manifest)) => Ok(Self { host: host.to_owned(), name: name.to_owned(), manifest }),
            _ => Err(NoReference::NoDigest),
        }
    }
}

impl Reference {
    /// Where its manifest is.
    #[must_use]
    pub fn manifest_url(&self, registry: &Host) -> String {
        format!("{}v2/{}/manifests/{}", registry.root(), self.name, self.manifest)
    }

    /// Where one of its layers is.
    #[must_use]
    pub fn layer_url(&self, registry: &Host, layer: &Sha256) -> String {
        format!("{}v2/{}/blobs/{layer}", registry.root(), self.name)
    }

    /// The registry that it is in, when the operator lists it.
    #[must_use]
    pub fn registry<'a>(&self, listed: &'a [Host]) -> Option<&'a Host> {
        listed.iter().find(|registry| registry.name() == self.host)
    }
}

/// The layer that is the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layer {
    /// What it is.
    pub sha256: Sha256,
    /// How many bytes it has.
    pub bytes: u64,
}

/// Why a manifest is none of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoKernel {
    /// It cannot be read.
    #[error("the manifest is none: it is not {MANIFEST}")]
    Unreadable,
    /// It is of something else.
    #[error("a kernel is one layer of application/wasm, and this manifest has others, or more, or none")]
    Layers,
}

/// What a manifest says, as far as it matters here.
#[derive(Deserialize)]
struct Manifest {
    layers: Vec<Described>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Described {
    media_type: String,
    digest: String,
    size: u64,
}

/// The kernel that a manifest is about.
///
/// # Errors
/// When it is about none.
pub fn layer(manifest: &[u8]) -> Result<Layer, NoKernel> {
    let manifest: Manifest = serde_json::from_slice(manifest).map_err(|_| NoKernel::Unreadable)?;
    let [layer] = manifest.layers.as_slice() else { return Err(NoKernel::Layers) };
    if !LAYERS.contains(&layer.media_type.as_str()) {
        return Err(NoKernel::Layers);
    }
    match layer.digest.parse() {
        Ok(ContentName::Sha256(sha256)) => Ok(Layer { sha256, bytes: layer.size }),
        _ => Err(NoKernel::Unreadable),
    }
}

/// Where a registry sends those who have shown nothing, and with what: the place that gives a token to anybody who asks to read.
/// `None` for a challenge of another kind, which nobody here can meet.
#[must_use]
pub fn token_url(challenge: &str) -> Option<String> {
    let (scheme, rest) = challenge.trim().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let mut realm = None;
    let mut query = String::new();
    // Values are in quotes, and may have commas in them.
    let mut rest = rest.trim();
    while let Some((name, behind)) = rest.split_once("=\"") {
        let (value, behind) = behind.split_once('"')?;
        match name.trim_matches([',', ' ']) {
            "realm" => realm = Some(value),
            name @ ("service" | "scope") => {
                query.push(if query.is_empty() { '?' } else { '&' });
                query.push_str(name);
                query.push('=');
                query.extend(value.bytes().map(encoded));
            }
            _ => {}
        }
        rest = behind;
    }
    realm.filter(|realm| !realm.contains(['?', '#'])).map(|realm| format!("{realm}{query}"))
}

fn encoded(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() || b"-._~/:".contains(&byte) {
        char::from(byte).to_string()
    } else {
        format!("%{byte:02X}")
    }
}

/// The token in what such a place answers.
#[must_use]
pub fn token(answer: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Answer {
        token: Option<String>,
        access_token: Option<String>,
    }
    let answer: Answer = serde_json::from_slice(answer).ok()?;
    let is_word = |token: &String| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    answer.token.or(answer.access_token).filter(is_word)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_kernel_is_named_by_the_digest_of_its_manifest() {
        let listed: Vec<Host> =
            ["ghcr.io", "http://127.0.0.1:5000"].iter().map(|text| text.parse().expect("one")).collect();
        let found: Reference = format!("oci://ghcr.io/anna/edges@sha256:{HEX}").parse().expect("a reference");
        let registry = found.registry(&listed).expect("listed");
        assert_eq!(found.manifest_url(registry), format!("https://ghcr.io/v2/anna/edges/manifests/sha256:{HEX}"));
        let local: Reference = format!("oci://127.0.0.1:5000/edges@sha256:{HEX}").parse().expect("a reference");
        let registry = local.registry(&listed).expect("listed");
        let layer = local.layer_url(registry, &local.manifest);
        assert_eq!(layer, format!("http://127.0.0.1:5000/v2/edges/blobs/sha256:{HEX}"));
        let other: Reference = format!("oci://ghcr.io.example.org/x@sha256:{HEX}").parse().expect("a reference");
        assert_eq!(other.registry(&listed), None);
        for (text, why) in [
            ("oci://ghcr.io/edges:1.0", NoReference::NoDigest),
            ("oci://ghcr.io/edges@blake3:00", NoReference::NoDigest),
            ("https://ghcr.io/edges", NoReference::Unreadable),
            ("oci://ghcr.io", NoReference::Unreadable),
            (&*format!("oci://ghcr.io/../x@sha256:{HEX}"), NoReference::Unreadable),
            (&format!("oci://ghcr.io//x@sha256:{HEX}"), NoReference::Unreadable),
            (&format!("oci://ghcr.io/x?y@sha256:{HEX}"), NoReference::Unreadable),
            (&format!("oci://a@ghcr.io/x@sha256:{HEX}"), NoReference::Unreadable),
            (&format!("oci://ghcr.io:99999/x@sha256:{HEX}"), NoReference::Unreadable),
        ] {
            assert_eq!(text.parse::<Reference>(), Err(why), "{text}");
        }
    }

    #[test]
    fn a_manifest_of_a_kernel_has_one_layer() {
        let of = |kind: &str, count: usize| {
            let layer = serde_json::json!({ "mediaType": kind, "digest": format!("sha256:{HEX}"), "size": 7 });
            layer_of(&serde_json::json!({ "schemaVersion": 2, "layers": vec![layer; count] }))
        };
        fn layer_of(manifest: &serde_json::Value) -> Result<Layer, NoKernel> {
            layer(manifest.to_string().as_bytes())
        }
        for kind in LAYERS {
            assert_eq!(of(kind, 1).map(|layer| layer.bytes), Ok(7));
        }
        assert_eq!((of(LAYERS[0], 0), of(LAYERS[0], 2)), (Err(NoKernel::Layers), Err(NoKernel::Layers)));
        assert_eq!(of("application/vnd.oci.image.layer.v1.tar+gzip", 1), Err(NoKernel::Layers));
        let other = serde_json::json!({ "layers": [{ "mediaType": LAYERS[0], "digest": "md5:00", "size": 7 }] });
        assert_eq!(layer_of(&other), Err(NoKernel::Unreadable));
        assert_eq!(layer(b"x"), Err(NoKernel::Unreadable));
    }

    #[test]
    fn a_challenge_says_where_a_token_is() {
        let url = token_url(r#"Bearer realm="https://a.example/token",service="r",scope="repository:a/b:pull,push""#);
        let wanted = "https://a.example/token?service=r&scope=repository:a/b:pull%2Cpush";
        assert_eq!(url.as_deref(), Some(wanted));
        for other in [r#"Basic realm="x""#, "Bearer", "Bearer scope=\"x\"", "Bearer realm=\"x", "Bearer realm=\"x?y\""]
        {
            assert_eq!(token_url(other), None, "{other}");
        }
        assert_eq!(token(br#"{"token": "abc"}"#).as_deref(), Some("abc"));
        assert_eq!(token(br#"{"access_token": "abc"}"#).as_deref(), Some("abc"));
        for other in [&b"{}"[..], b"x", br#"{"token": ""}"#, br#"{"token": "a\r\nb: c"}"#] {
            assert_eq!(token(other), None);
        }
    }
}
