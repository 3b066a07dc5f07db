//! The struct types of Go sources, as far as their JSON and protobuf forms are concerned.
//!
//! A line-based reader: gofmt'ed API types have one field a line. It is not a Go parser.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

/// Go types by OpenAPI definition name, such as `io.k8s.api.core.v1.Pod`.
#[derive(Default)]
pub(super) struct Sources {
    types: BTreeMap<String, Decl>,
}

#[derive(Clone, Debug)]
enum Decl {
    Struct(Vec<RawField>),
    /// `type Verbs []string`
    Named(GoType),
}

#[derive(Clone, Debug)]
struct RawField {
    ty: GoType,
    json: String,
    inline: bool,
    omitempty: bool,
    omitzero: bool,
    proto: Option<u32>,
}

/// A type expression, with names made global.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum GoType {
    /// `string`, `int32`, `bool`, …
    Builtin(String),
    /// A definition name.
    Named(String),
    Pointer(Box<GoType>),
    Slice(Box<GoType>),
    Map(Box<GoType>),
}

/// One JSON field of a struct, inlined structs flattened.
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) ty: GoType,
    pub(super) omitempty: bool,
    pub(super) omitzero: bool,
    /// Numbers on the way to the field; empty when protobuf has no such field.
    pub(super) proto: Vec<u32>,
}

/// Fields by JSON name, in Go's order.
#[derive(Default)]
pub(super) struct Fields(Vec<(String, Field)>);

impl Fields {
    fn set(&mut self, name: String, field: Field) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = field,
            None => self.0.push((name, field)),
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Field> {
        self.iter().find(|(known, _)| *known == name).map(|(_, field)| field)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Field)> {
        self.0.iter().map(|(name, field)| (name.as_str(), field))
    }
}

impl Sources {
    pub(super) fn read(root: &Path) -> Result<Self> {
        let mut sources = Self::default();
        for repository in ["api", "apimachinery", "apiextensions-apiserver", "kube-aggregator"] {
            let dir = root.join(repository);
            if !dir.is_dir() {
                bail!("{} is not there", dir.display());
            }
            sources.read_dir(&dir, &format!("io.k8s.{repository}"))?;
        }
        Ok(sources)
    }

    fn read_dir(&mut self, dir: &Path, package: &str) -> Result<()> {
        let mut entries: Vec<_> = std::fs::read_dir(dir)?.collect::<std::io::Result<_>>()?;
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            let Ok(name) = entry.file_name().into_string() else { continue };
            if path.is_dir() {
                self.read_dir(&path, &format!("{package}.{name}"))?;
            } else if name.ends_with(".go")
                && !name.ends_with("_test.go")
                && !name.starts_with("generated")
                && !name.starts_with("zz_")
            {
                let text =
                    std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
                read_file(&text, package, &mut self.types);
            }
        }
        Ok(())
    }

    /// The JSON fields of a struct type, in the order in which Go writes them.
    pub(super) fn fields(&self, definition: &str) -> Option<Fields> {
        let Decl::Struct(raw) = self.types.get(definition)? else { return None };
        let mut fields = Fields::default();
        for field in raw {
            let number = field.proto.into_iter().collect::<Vec<_>>();
            if !field.inline {
                fields.set(
                    field.json.clone(),
                    Field {
                        ty: field.ty.clone(),
                        omitempty: field.omitempty,
                        omitzero: field.omitzero,
                        proto: number,
                    },
                );
                continue;
            }
            let GoType::Named(inner) = &field.ty else { continue };
            for (name, mut inner) in self.fields(inner)?.0 {
                // Protobuf nests what JSON inlines; without a number for the outer there is none for the inner.
                inner.proto = match &number[..] {
                    [] => Vec::new(),
                    outer => outer.iter().chain(&inner.proto).copied().collect(),
                };
                fields.set(name, inner);
            }
        }
        Some(fields)
    }

    /// What a named type stands for, when it is not a struct.
    pub(super) fn underlying<'a>(&'a self, ty: &'a GoType) -> &'a GoType {
        match ty {
            GoType::Named(name) => match self.types.get(name) {
                Some(Decl::Named(inner)) => self.underlying(inner),
                _ => ty,
            },
            _ => ty,
        }
    }
}

impl GoType {
    /// As Go's reflection prints it: `v1.PullPolicy`.
    pub(super) fn name(definition: &str) -> &str {
        let mut dots = definition.rmatch_indices('.').map(|(i, _)| i);
        dots.next();
        dots.next().map_or(definition, |i| &definition[i + 1..])
    }

    fn parse(text: &str, scope: &Scope<'_>) -> Option<Self> {
        let text = text.trim();
        if let Some(inner) = text.strip_prefix('*') {
            return Some(Self::Pointer(Box::new(Self::parse(inner, scope)?)));
        }
        if let Some(inner) = text.strip_prefix("[]") {
            return Some(match inner {
                "byte" => Self::Builtin("[]byte".into()),
                _ => Self::Slice(Box::new(Self::parse(inner, scope)?)),
            });
        }
        if let Some(rest) = text.strip_prefix("map[") {
            let (_, value) = rest.split_once(']')?;
            return Some(Self::Map(Box::new(Self::parse(value, scope)?)));
        }
        if text == "interface{}" {
            return Some(Self::Builtin("any".into()));
        }
        if !text.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '.') {
            return None;
        }
        Some(match text.split_once('.') {
            Some((alias, name)) => Self::Named(format!(
                "{}.{name}",
                scope.imports.get(alias).map_or(alias, |path| path.as_str())
            )),
            None if text.starts_with(char::is_lowercase) => Self::Builtin(text.into()),
            None => Self::Named(format!("{}.{text}", scope.package)),
        })
    }
}

struct Scope<'a> {
    package: &'a str,
    imports: BTreeMap<String, String>,
}

fn read_file(text: &str, package: &str, types: &mut BTreeMap<String, Decl>) {
    let mut scope = Scope { package, imports: BTreeMap::new() };
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("import (") {
            for line in lines.by_ref().take_while(|line| !line.starts_with(')')) {
                scope.add_import(line.trim());
            }
        } else if let Some(line) = line.strip_prefix("import ") {
            scope.add_import(line.trim());
        } else if let Some(declaration) = line.strip_prefix("type ") {
            let Some((name, rest)) = declaration.split_once(' ') else { continue };
            let decl = if rest.starts_with("struct {") && !rest.contains('}') {
                let body = lines.by_ref().take_while(|line| !line.starts_with('}'));
                Decl::Struct(body.filter_map(|line| field(line, &scope)).collect())
            } else if rest.starts_with("struct") {
                Decl::Struct(Vec::new())
            } else {
                let rest = rest.split("//").next().unwrap_or_default();
                let Some(ty) = GoType::parse(rest.trim_start_matches("= "), &scope) else { continue };
                Decl::Named(ty)
            };
            types.insert(format!("{package}.{name}"), decl);
        }
    }
}

impl Scope<'_> {
    /// `metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"`
    fn add_import(&mut self, line: &str) {
        let mut parts = line.split('"');
        let (Some(alias), Some(path)) = (parts.next(), parts.next()) else { return };
        let last = path.rsplit('/').next().unwrap_or(path);
        let alias = if alias.trim().is_empty() { last } else { alias.trim() };
        if let Some(path) = path.strip_prefix("k8s.io/") {
            self.imports.insert(alias.into(), format!("io.k8s.{}", path.replace('/', ".")));
        }
    }
}

fn field(line: &str, scope: &Scope<'_>) -> Option<RawField> {
    let line = line.trim();
    if line.starts_with("//") {
        return None;
    }
    let (declaration, tags) = line.split_once('`')?;
    let json = tag(tags, "json")?;
    let mut options = json.split(',');
    let name = options.next().unwrap_or_default();
    let options: Vec<_> = options.collect();
    let words: Vec<_> = declaration.split_whitespace().collect();
    // An embedded struct is declared by its type alone.
    let (embedded, ty) = match words[..] {
        [ty] => (true, ty.to_owned()),
        [_, ..] => (false, words[1..].join(" ")),
        [] => return None,
    };
    Some(RawField {
        ty: GoType::parse(&ty, scope)?,
        json: name.to_owned(),
        inline: embedded && name.is_empty(),
        omitempty: options.contains(&"omitempty"),
        omitzero: options.contains(&"omitzero"),
        proto: tag(tags, "protobuf").and_then(|tag| tag.split(',').nth(1)?.parse().ok()),
    })
    .filter(|field| field.json != "-")
}

/// The value of `name:"…"` in a struct tag.
fn tag<'a>(tags: &'a str, name: &str) -> Option<&'a str> {
    let start = tags.find(&format!("{name}:\""))? + name.len() + 2;
    tags[start..].split('"').next()
}
