//! The catalog's text, cut into words. docs/catalog.md describes the form.

use std::collections::BTreeMap;

use super::CatalogError;

/// The table's lines by kind of line. Everything borrows from the text.
#[derive(Debug, Default)]
pub(crate) struct Text<'a> {
    pub(crate) version: &'a str,
    /// By letter.
    pub(crate) packages: BTreeMap<char, Package<'a>>,
    /// Group versions in which the kinds marked [`Definition::everywhere`] exist.
    pub(crate) everywhere: Vec<&'a str>,
    pub(crate) definitions: Vec<Definition<'a>>,
    pub(crate) group_versions: Vec<GroupVersionLines<'a>>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Package<'a> {
    pub(crate) name: &'a str,
    pub(crate) group_version: &'a str,
}

#[derive(Debug, Default)]
pub(crate) struct Definition<'a> {
    /// `J.Container`
    pub(crate) reference: &'a str,
    /// `apps/v1`, for kinds of one group and version.
    pub(crate) group_version: Option<&'a str>,
    pub(crate) everywhere: bool,
    /// In no OpenAPI document.
    pub(crate) unlisted: bool,
    /// Not in this version. It keeps its place, so that a type has the same number in all versions.
    pub(crate) absent: bool,
    pub(crate) atomic: bool,
    /// `x-kubernetes-unions` as JSON.
    pub(crate) unions: Option<&'a str>,
    /// Required fields, where their order is not that of the numbers.
    pub(crate) required: &'a str,
    pub(crate) fields: Vec<FieldLine<'a>>,
}

#[derive(Debug, Default)]
pub(crate) struct FieldLine<'a> {
    pub(crate) name: &'a str,
    /// `[m:name]J.EnvVar`
    pub(crate) ty: &'a str,
    /// `2/5`, or "".
    pub(crate) proto: &'a str,
    pub(crate) omitempty: bool,
    pub(crate) omitzero: bool,
    pub(crate) pointer: bool,
    pub(crate) required: bool,
    /// OpenAPI v3 shows the type's zero value as default.
    pub(crate) zero_default: bool,
    /// OpenAPI v3 refers to the type directly, as it does for fields without a description.
    pub(crate) bare: bool,
    /// JSON.
    pub(crate) default: Option<&'a str>,
    pub(crate) patch_strategy: &'a str,
    pub(crate) patch_merge_key: &'a str,
}

#[derive(Debug)]
pub(crate) struct GroupVersionLines<'a> {
    /// `apps/v1`
    pub(crate) group_version: &'a str,
    /// One a resource or subresource.
    pub(crate) resources: Vec<&'a str>,
}

impl<'a> Text<'a> {
    pub(crate) fn parse(text: &'a str) -> Result<Self, CatalogError> {
        let mut out = Self::default();
        for (i, line) in text.lines().enumerate() {
            let fail = |problem| CatalogError { line: i + 1, problem };
            if let Some(rest) = line.strip_prefix(' ') {
                match (out.group_versions.last_mut(), out.definitions.last_mut()) {
                    (Some(group), _) => group.resources.push(rest),
                    (None, Some(definition)) => {
                        definition.fields.push(FieldLine::parse(rest).ok_or_else(|| fail("bad field"))?);
                    }
                    (None, None) => return Err(fail("nothing that this line belongs to")),
                }
                continue;
            }
            let (word, rest) = line.split_once(' ').ok_or_else(|| fail("one word"))?;
            match word {
                "drydock-catalog" if rest == "1" => {}
                "version" => out.version = rest,
                "P" => {
                    let mut words = rest.split(' ');
                    let letter = words.next().and_then(|word| word.chars().next());
                    let (Some(letter), Some(name)) = (letter, words.next()) else {
                        return Err(fail("bad package"));
                    };
                    let group_version = words.next().unwrap_or("");
                    out.packages.insert(letter, Package { name, group_version });
                }
                "E" => out.everywhere = rest.split(' ').collect(),
                "T" => out
                    .definitions
                    .push(Definition::parse(rest, &out.packages).ok_or_else(|| fail("bad definition"))?),
                "G" => {
                    out.group_versions.push(GroupVersionLines { group_version: rest, resources: Vec::new() })
                }
                _ => return Err(fail("unknown line")),
            }
        }
        Ok(out)
    }

    /// What an older version has otherwise; docs/catalog.md describes the form.
    ///
    /// # Errors
    /// A line that is no change of this table.
    pub(crate) fn amend(&mut self, delta: &'a str) -> Result<(), CatalogError> {
        for (i, line) in delta.lines().enumerate() {
            let fail = |problem| CatalogError { line: i + 1, problem };
            let mut words = line.split(' ');
            let (word, first) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
            match word {
                "drydock-catalog-delta" if first == "1" => {}
                "version" => self.version = first,
                "E" => self.everywhere = line.split(' ').skip(1).collect(),
                "-" | "r" => {
                    let known = self.definitions.iter_mut().find(|known| known.reference == first);
                    let definition = known.ok_or_else(|| fail("no such definition"))?;
                    let names: Vec<&str> =
                        words.next().map_or_else(Vec::new, |names| names.split(',').collect());
                    definition.amend(word == "r", &names, line);
                }
                _ => return Err(fail("unknown line")),
            }
        }
        self.drop_absent_resources();
        Ok(())
    }

    /// Resources whose kind is not in this version, and groups of nothing else.
    fn drop_absent_resources(&mut self) {
        let absent: Vec<(&str, &str)> = self
            .definitions
            .iter()
            .filter(|definition| definition.absent)
            .filter_map(|definition| Some((definition.group_version?, definition.name())))
            .collect();
        for group in &mut self.group_versions {
            let own = group.group_version;
            let gone: Vec<&str> = group
                .resources
                .iter()
                .filter_map(|line| {
                    let mut words = line.split(' ');
                    let (path, kind) = (words.next()?, words.next()?);
                    (!path.contains('/') && absent.contains(&(own, kind))).then_some(path)
                })
                .collect();
            group.resources.retain(|line| {
                let resource = line.split([' ', '/']).next().unwrap_or("");
                !gone.contains(&resource)
            });
        }
        self.group_versions.retain(|group| !group.resources.is_empty());
    }

    /// `J.Container` as package and name.
    pub(crate) fn resolve(&self, reference: &'a str) -> Option<(Package<'a>, &'a str)> {
        let (letter, name) = reference.split_once('.')?;
        Some((*self.packages.get(&letter.chars().next()?)?, name))
    }

    /// `J.Container` as `io.k8s.api.core.v1.Container`.
    pub(crate) fn full_name(&self, reference: &'a str) -> Option<String> {
        let (package, name) = self.resolve(reference)?;
        Some(format!("{}.{name}", package.name))
    }
}

impl<'a> Definition<'a> {
    /// Takes fields away (all: the definition), or says which of them are required.
    fn amend(&mut self, requires: bool, names: &[&str], line: &'a str) {
        if requires {
            self.required = line.split(' ').nth(2).unwrap_or("");
            for field in &mut self.fields {
                field.required = names.contains(&field.name);
            }
        } else if names.is_empty() {
            self.absent = true;
        } else {
            self.fields.retain(|field| !names.contains(&field.name));
        }
    }

    fn parse(line: &'a str, packages: &BTreeMap<char, Package<'a>>) -> Option<Self> {
        let mut words = line.split(' ');
        let mut out = Self { reference: words.next()?, ..Self::default() };
        let package = packages.get(&out.reference.chars().next()?)?;
        for word in words {
            match word.split_once('=') {
                None if word == "K" => out.group_version = Some(package.group_version),
                None if word == "E" => out.everywhere = true,
                None if word == "U" => out.unlisted = true,
                None if word == "a" => out.atomic = true,
                Some(("K", group_version)) => out.group_version = Some(group_version),
                Some(("r", required)) => out.required = required,
                Some(("u", unions)) => out.unions = Some(unions),
                _ => return None,
            }
        }
        Some(out)
    }

    /// `Container`
    pub(crate) fn name(&self) -> &'a str {
        self.reference.split_once('.').map_or("", |(_, name)| name)
    }
}

impl<'a> FieldLine<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut words = line.split(' ');
        let mut out = Self { name: words.next()?, ty: words.next()?, ..Self::default() };
        for word in words {
            match word.split_once('=') {
                Some(("d", default)) => out.default = Some(default),
                Some(("p", strategy)) => out.patch_strategy = strategy,
                Some(("k", key)) => out.patch_merge_key = key,
                None if word.starts_with(|c: char| c.is_ascii_digit() && c != '0') => out.proto = word,
                None => {
                    for flag in word.chars() {
                        match flag {
                            '?' => out.omitempty = true,
                            'z' => out.omitzero = true,
                            '*' => out.pointer = true,
                            '!' => out.required = true,
                            '0' => out.zero_default = true,
                            'r' => out.bare = true,
                            _ => return None,
                        }
                    }
                }
                Some(_) => return None,
            }
        }
        Some(out)
    }
}
