//! Which representation a client wants, and which one it sends.

use drydock_client::PatchType;
use drydock_machinery::Status;
use drydock_machinery::status::Reason;

use crate::registry::{MEDIA_TYPES as TYPES, unknown_format};

/// The encoding of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Yaml,
    Protobuf,
}

/// What an answer shows of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum View {
    Whole,
    /// `meta.k8s.io` version.
    Table(&'static str),
    Metadata(&'static str),
    MetadataList(&'static str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) format: Format,
    pub(crate) view: View,
}

/// What a watch can be written as.
const STREAMS: &str = "application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch";

/// A clause of an Accept header.
struct Clause<'a> {
    media_type: &'a str,
    params: Vec<(&'a str, &'a str)>,
    quality: f32,
}

/// What can be made of an answer. Metadata can be in every format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    /// Of whole objects.
    pub(crate) protobuf: bool,
    /// In JSON and YAML.
    pub(crate) table: bool,
    /// That of a document there is none.
    pub(crate) metadata: bool,
}

impl Offer {
    pub(crate) const DOCUMENT: Self = Self { protobuf: true, table: false, metadata: false };

    fn has(self, wanted: Wanted) -> bool {
        match wanted.view {
            View::Whole => self.protobuf || wanted.format != Format::Protobuf,
            View::Table(_) => self.table && wanted.format != Format::Protobuf,
            View::Metadata(_) | View::MetadataList(_) => self.metadata,
        }
    }
}

/// What a client wants of a path that is only there for clients that accept one of its types.
///
/// # Errors
/// 406 when nothing that is accepted can be made.
pub(crate) fn accept(header: Option<&str>, offer: Offer) -> Result<Wanted, Status> {
    let header = header.unwrap_or("").trim();
    if header.is_empty() || header == "*/*" || header == "application/json" {
        return Ok(Wanted { format: Format::Json, view: View::Whole });
    }
    accept_among(header, &TYPES, offer)
}

/// What a client of a log wants, which is text whatever it accepts.
///
/// # Errors
/// 406 when nothing that is accepted can be made.
pub(crate) fn accept_log(header: Option<&str>) -> Result<(), Status> {
    let header = header.unwrap_or("").trim();
    if header.is_empty() {
        return Ok(());
    }
    let types = ["text/plain", TYPES[0], TYPES[1], TYPES[2]];
    // Upstream has a route for who takes text, and then looks for a form that an object has.
    accept_among(header, &types, Offer { protobuf: true, table: true, metadata: true }).map(drop)
}

fn accept_among(header: &str, types: &[&str], offer: Offer) -> Result<Wanted, Status> {
    let clauses = clauses(header);
    let known = |clause: &Clause<'_>| clause.media_type == "*/*" || types.contains(&clause.media_type);
    if !clauses.iter().any(known) {
        let types = types.join(", ");
        let text = format!("406: Not Acceptable\n\nAvailable representations: {types}");
        return Err(Status::new(406, Reason::NotAcceptable, text).with_details(Default::default()));
    }
    best(&clauses, offer)
}

/// What a client wants of a path that is there for all, so that it may also accept `application/*`.
///
/// # Errors
/// 406 when nothing that is accepted can be made.
pub(crate) fn accept_of_all(header: Option<&str>, offer: Offer) -> Result<Wanted, Status> {
    match header.unwrap_or("").trim() {
        "" => Ok(Wanted { format: Format::Json, view: View::Whole }),
        header => best(&clauses(header), offer),
    }
}

fn best(clauses: &[Clause<'_>], offer: Offer) -> Result<Wanted, Status> {
    clauses.iter().filter_map(wanted).find(|wanted| offer.has(*wanted)).ok_or_else(not_acceptable)
}

/// How a page for people (`/statusz`) is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Page {
    Text,
    /// As a kind of `config.k8s.io`, in this version.
    Structured(&'static str, Format),
}

/// # Errors
/// 406 when nothing that is accepted can be made: structured forms must be asked for by `kind`.
pub(crate) fn page(header: Option<&str>, kind: &str) -> Result<Page, Status> {
    let header = header.unwrap_or("").trim();
    if header.is_empty() {
        return Ok(Page::Text);
    }
    let wanted = |clause: &Clause<'_>| {
        let param = |key: &str| clause.params.iter().find(|(own, _)| *own == key).map(|(_, value)| *value);
        let Some(asked) = param("as") else {
            return matches!(clause.media_type, "text/plain" | "text/*" | "*/*").then_some(Page::Text);
        };
        let format = match clause.media_type {
            "application/json" | "application/*" | "*/*" => Format::Json,
            "application/yaml" => Format::Yaml,
            _ => return None,
        };
        let version = ["v1alpha1", "v1beta1"].into_iter().find(|own| param("v") == Some(own))?;
        (asked == kind && param("g") == Some("config.k8s.io")).then_some(Page::Structured(version, format))
    };
    clauses(header).iter().find_map(wanted).ok_or_else(|| {
        let types = "application/json, application/yaml, text/plain";
        let text = format!("only the following media types are accepted: {types}");
        Status::new(406, Reason::NotAcceptable, text)
    })
}

/// In what form an object can be sent as it is; None when the client takes none of them.
pub(crate) fn plain(header: Option<&str>) -> Option<Format> {
    let header = header.unwrap_or("").trim();
    if matches!(header, "" | "application/json" | "*/*") {
        return Some(Format::Json);
    }
    let clauses = clauses(header);
    let mut wanted = clauses.iter().filter_map(wanted).filter(|wanted| wanted.view == View::Whole);
    wanted.next().map(|wanted| wanted.format)
}

/// The 406 of a path that also is watched.
pub(crate) fn with_streams(mut status: Status) -> Status {
    if status.message.starts_with("406") {
        status.message += ", ";
        status.message += STREAMS;
    }
    status
}

/// The 406 of a watch in a format that cannot be streamed.
pub(crate) fn check_stream(wanted: Wanted) -> Result<(), Status> {
    if wanted.format != Format::Yaml {
        return Ok(());
    }
    let text = format!("only the following media types are accepted: {STREAMS}");
    Err(Status::new(406, Reason::NotAcceptable, text))
}

/// The 406 for views that are not to be had.
pub(crate) fn not_acceptable() -> Status {
    let text = format!("only the following media types are accepted: {}", TYPES.join(", "));
    Status::new(406, Reason::NotAcceptable, text)
}

fn clauses(header: &str) -> Vec<Clause<'_>> {
    let mut clauses: Vec<Clause<'_>> = header
        .split(',')
        .map(|clause| {
            let mut parts = clause.split(';').map(str::trim);
            let media_type = parts.next().unwrap_or("");
            // Parameters without a value, or with two, are none to Go's server.
            let params: Vec<(&str, &str)> = parts
                .filter_map(|part| part.split_once('='))
                .filter(|(_, value)| !value.is_empty() && !value.contains('='))
                .collect();
            let quality = params.iter().find(|(key, _)| *key == "q");
            let quality = quality.and_then(|(_, value)| value.parse().ok()).unwrap_or(1.0);
            Clause { media_type, params, quality }
        })
        .collect();
    clauses.sort_by(|a, b| b.quality.total_cmp(&a.quality));
    clauses
}

fn wanted(clause: &Clause<'_>) -> Option<Wanted> {
    let format = match clause.media_type {
        "application/json" | "application/*" | "*/*" => Format::Json,
        "application/vnd.kubernetes.protobuf" => Format::Protobuf,
        "application/yaml" => Format::Yaml,
        _ => return None,
    };
    let param = |key: &str| clause.params.iter().find(|(own, _)| *own == key).map(|(_, value)| *value);
    if param("stream").is_some_and(|stream| stream != "watch") || param("sv").is_some_and(|sv| sv != "v1") {
        return None;
    }
    let Some(kind) = param("as") else {
        // A group or version is that of a kind.
        let is_whole = param("g").is_none() && param("v").is_none();
        return is_whole.then_some(Wanted { format, view: View::Whole });
    };
    let version = match (param("g"), param("v")) {
        (Some("meta.k8s.io"), Some("v1")) => "v1",
        (Some("meta.k8s.io"), Some("v1beta1")) => "v1beta1",
        _ => return None,
    };
    let view = match kind {
        // Its cells have no protobuf.
        "Table" if format == Format::Protobuf => return None,
        "Table" => View::Table(version),
        "PartialObjectMetadata" => View::Metadata(version),
        "PartialObjectMetadataList" => View::MetadataList(version),
        _ => return None,
    };
    Some(Wanted { format, view })
}

/// Whether a request did not get as far as its resource: nothing that it accepts, or sends, is known there.
pub(crate) fn is_unrouted(status: &Status) -> bool {
    (status.code == 406 && status.message.starts_with("406"))
        || (status.code == 415 && status.message.starts_with("415"))
}

/// How a body of a create, update or delete is written; None for what nobody reads.
pub(crate) fn content_type(header: Option<&str>) -> Option<Format> {
    let media_type = media_type(header);
    let is = |known: &str| media_type.eq_ignore_ascii_case(known);
    match media_type {
        "" => header.is_none_or(str::is_empty).then_some(Format::Json),
        _ if is("application/json") => Some(Format::Json),
        _ if is("application/yaml") => Some(Format::Yaml),
        _ if is("application/vnd.kubernetes.protobuf") => Some(Format::Protobuf),
        _ => None,
    }
}

/// Which kind of patch a body is. Custom resources have no strategic merge, and say what they have.
///
/// # Errors
/// 415.
pub(crate) fn patch_type(header: Option<&str>, strategic: bool) -> Result<(PatchType, Format), Status> {
    match media_type(header) {
        "application/json-patch+json" => Ok((PatchType::Json, Format::Json)),
        "application/merge-patch+json" => Ok((PatchType::Merge, Format::Json)),
        "application/strategic-merge-patch+json" if strategic => Ok((PatchType::Strategic, Format::Json)),
        "application/apply-patch+yaml" => Ok((PatchType::Apply, Format::Yaml)),
        _ if strategic => Err(Status::new(415, Reason::UnsupportedMediaType, "415: Unsupported Media Type")
            .with_details(Default::default())),
        _ => Err(unknown_format(&[
            "application/json-patch+json",
            "application/merge-patch+json",
            "application/apply-patch+yaml",
        ])),
    }
}

fn media_type(header: Option<&str>) -> &str {
    header.unwrap_or("").split(';').next().unwrap_or("").trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_known_clause_wins() {
        let json = Wanted { format: Format::Json, view: View::Whole };
        let accept =
            |header: Option<&str>| accept(header, Offer { protobuf: true, table: true, metadata: true });
        assert_eq!(accept(None), Ok(json));
        assert_eq!(accept(Some("text/html,application/xml;q=0.9,*/*;q=0.8")), Ok(json));
        assert_eq!(accept(Some("application/json;as=Table;g=meta.k8s.io;v=v9,application/json")), Ok(json));
        let table = Wanted { format: Format::Json, view: View::Table("v1") };
        assert_eq!(accept(Some("application/json;as=Table;v=v1;g=meta.k8s.io,application/json")), Ok(table));
        assert_eq!(accept(Some("application/json;q=0.1,application/yaml")).unwrap().format, Format::Yaml);
        assert_eq!(
            plain(Some("application/json;as=Table;v=v1;g=meta.k8s.io,application/yaml")),
            Some(Format::Yaml)
        );
        assert_eq!(plain(Some("text/plain")), None);
        // A group or version of no kind is not to be had; parameters without a value, or with two, are none.
        let yaml = |header: &str| accept(Some(header)).map(|wanted| wanted.format == Format::Yaml);
        for refused in ["v=v1", "g=meta.k8s.io;v=v1", "stream=other", "sv=1"] {
            assert_eq!(yaml(&format!("application/json;{refused},application/yaml")), Ok(true), "{refused}");
        }
        for taken in ["as=", "v=", "v=v1=v1", "stream=watch", "sv=v1"] {
            assert_eq!(yaml(&format!("application/json;{taken},application/yaml")), Ok(false), "{taken}");
        }
        assert!(accept(Some("text/plain")).unwrap_err().message.starts_with("406: Not Acceptable"));
    }

    #[test]
    fn only_what_can_be_made_is_chosen() {
        let check = |header: &str, protobuf: bool, table: bool, expect: Option<Wanted>| {
            assert_eq!(
                accept(Some(header), Offer { protobuf, table, metadata: true }).ok(),
                expect,
                "{header}"
            );
        };
        let table = "application/json;as=Table;g=meta.k8s.io;v=v1";
        check(table, true, false, None);
        check(table, false, true, Some(Wanted { format: Format::Json, view: View::Table("v1") }));
        let whole = Some(Wanted { format: Format::Json, view: View::Whole });
        check(&format!("{table},application/json"), true, false, whole);
        check("application/vnd.kubernetes.protobuf,application/json", false, true, whole);
        check("application/vnd.kubernetes.protobuf", false, true, None);
        let metadata = Wanted { format: Format::Protobuf, view: View::Metadata("v1") };
        let header = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
        check(header, false, false, Some(metadata));
    }

    #[test]
    fn custom_resources_say_which_patches_they_take() {
        let strategic = Some("application/strategic-merge-patch+json");
        assert!(patch_type(strategic, true).is_ok());
        let refused = patch_type(strategic, false).unwrap_err();
        assert!(refused.message.ends_with("application/merge-patch+json, application/apply-patch+yaml"));
    }
}
