//! Rows of tables, as upstream prints them: one JSON object a line in `data/cells.jsonl`. It is 00:10 on New Year's Day.

use drydock_kinds::strategy;
use drydock_machinery::Value;
use drydock_machinery::catalog::Catalog;

#[test]
fn cells_are_upstreams() {
    let now = "2024-01-01T00:10:00Z".parse().unwrap();
    for line in include_str!("data/cells.jsonl").lines() {
        let case = Value::from_json(line.as_bytes()).unwrap();
        let (group, resource) = case.str_at(&["kind"]).split_once('/').unwrap();
        let cells = strategy(group, resource).cells(case.get("object").unwrap(), now);
        assert_eq!(cells, case.array_at(&["cells"]), "{line}");
    }
}

#[test]
fn every_kind_has_as_many_cells_as_columns() {
    let now = jiff::Timestamp::UNIX_EPOCH;
    let mut seen = 0;
    for group in Catalog::builtin().groups() {
        for resource in group.versions.iter().flat_map(|version| &version.resources) {
            let kind = strategy(group.name, resource.name);
            let (columns, cells) = (kind.columns(), kind.cells(&Value::object(), now));
            // Upstream's rows of addresses have an age that no column is for.
            let more = usize::from(resource.name == "ipaddresses");
            assert_eq!(columns.len() + more, cells.len(), "{}/{}", group.name, resource.name);
            assert!(columns.iter().all(|column| !column.name.is_empty() && !column.column_type.is_empty()));
            seen += 1;
        }
    }
    assert!(seen > 60, "{seen} resources");
}

#[test]
fn the_columns_of_pods_are_upstreams() {
    let columns = strategy("", "pods").columns();
    let names: Vec<(&str, i32)> = columns.iter().map(|column| (column.name, column.priority)).collect();
    let expected = [
        ("Name", 0),
        ("Ready", 0),
        ("Status", 0),
        ("Restarts", 0),
        ("Age", 0),
        ("IP", 1),
        ("Node", 1),
        ("Nominated Node", 1),
        ("Readiness Gates", 1),
    ];
    assert_eq!(names, expected);
    assert!(columns[0].description.starts_with("Name must be unique within a namespace."));
    assert!(columns[4].description.contains("\n\nPopulated by the system."));
}
