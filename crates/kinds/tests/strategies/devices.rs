//! Slices of devices, and claims of them.

use crate::common::{Kind, change_errors, create_errors, created, updated};
use drydock_machinery::{Value, value};

const SLICE: Kind = ("resource.k8s.io", "v1", "resourceslices");
const CLAIM: Kind = ("resource.k8s.io", "v1", "resourceclaims");

fn slice(devices: &Value) -> Value {
    value!({
        "metadata": {"name": "s"},
        "spec": {
            "driver": "d.example.com", "nodeName": "n",
            "pool": {"name": "p", "generation": 1, "resourceSliceCount": 1},
            "devices": devices.clone(),
        },
    })
}

/// The errors of one device, named by what is below it.
fn device_errors(device: &Value) -> Vec<String> {
    create_errors(SLICE, &slice(&value!([device.clone()])))
}

#[test]
fn a_devices_attributes_have_one_value_each() {
    let fine = value!({"name": "a", "attributes": {
        "d.example.com/x": {"string": "s"}, "y": {"version": "1.2.3-a"}, "z": {"bool": false},
    }});
    assert_eq!(device_errors(&fine), [""; 0]);
    let wrong = value!({"name": "A", "attributes": {"a b": {}, "v": {"version": "1"}}});
    let errors = device_errors(&wrong);
    let paths: Vec<&str> = errors.iter().map(|error| error.split(": ").next().unwrap_or("")).collect();
    let at = "spec.devices[0]";
    let expected = [
        format!("{at}.name"),
        format!("{at}.attributes"),
        format!("{at}.attributes[a b]"),
        format!("{at}.attributes[v].version"),
    ];
    assert_eq!(paths, expected, "{errors:?}");
    assert!(errors[2].ends_with("exactly one value must be specified"), "{errors:?}");
}

#[test]
fn a_shared_capacitys_policy_fits_the_capacity() {
    let device = |shared: bool, policy: &Value| {
        device_errors(&value!({
            "name": "a", "allowMultipleAllocations": shared,
            "capacity": {"m": {"value": "10", "requestPolicy": policy.clone()}},
        }))
    };
    let at = "spec.devices[0].capacity[m].requestPolicy";
    let fine = value!({"default": "2", "validRange": {"min": "1", "max": "9", "step": "1"}});
    assert_eq!(device(true, &fine), [""; 0]);
    assert_eq!(device(false, &fine), [format!("{at}: Forbidden: allowMultipleAllocations must be true")]);
    let range = value!({"default": "2", "validRange": {"min": "1", "max": "11", "step": "3"}});
    assert_eq!(
        device(true, &range),
        [
            format!("{at}.validRange.max: Invalid value: \"11\": max is larger than capacity value: 10"),
            format!(
                "{at}.validRange.step: Invalid value: \"2\": value is not a multiple of a given step (3) from (1)"
            ),
            format!(
                "{at}.validRange.step: Invalid value: \"11\": value is not a multiple of a given step (3) from (1)"
            ),
        ]
    );
    let values = value!({"default": "5", "validValues": ["2", "1", "11"]});
    assert_eq!(
        device(true, &values),
        [
            format!("{at}.validValues[1]: Invalid value: \"1\": values must be sorted in ascending order"),
            format!("{at}.validValues[2]: Invalid value: \"11\": option is larger than capacity value: 10"),
            format!(
                "{at}.validValues: Invalid value: \"5\": default value is not valid according to the requestPolicy"
            ),
        ]
    );
}

#[test]
fn a_slice_keeps_its_pool_and_node() {
    let old = created(SLICE, &slice(&value!([{"name": "a"}])));
    let errors = change_errors(SLICE, "", &old, |slice| {
        slice.set(&["spec", "pool", "name"], "q");
        slice.set(&["spec", "driver"], "e.example.com");
        slice.set(&["spec", "nodeName"], "m");
    });
    assert_eq!(
        errors,
        [
            "spec.pool.name: Invalid value: \"q\": field is immutable",
            "spec.driver: Invalid value: \"e.example.com\": field is immutable",
            "spec.nodeName: Invalid value: \"m\": field is immutable",
        ]
    );
}

fn claim() -> Value {
    let mut claim = created(
        CLAIM,
        &value!({
            "metadata": {"name": "c", "namespace": "ns"},
            "spec": {"devices": {"requests": [{"name": "r", "exactly": {"deviceClassName": "c"}}]}},
        }),
    );
    let status = value!({
        "allocation": {"devices": {"results": [
            {"request": "r", "driver": "d.example.com", "pool": "p", "device": "a"},
        ]}},
        "devices": [{"driver": "d.example.com", "pool": "p", "device": "a"}],
    });
    claim.set(&["status"], status);
    claim
}

#[test]
fn what_is_deallocated_is_no_longer_reported() {
    let claim = updated(CLAIM, "status", &claim(), |claim| {
        claim.remove(&["status", "allocation"]);
    });
    assert!(claim.array_at(&["status", "devices"]).is_empty());
}

#[test]
fn a_report_is_of_a_device_and_has_addresses() {
    let errors = change_errors(CLAIM, "status", &claim(), |claim| {
        let device = value!({
            "driver": "d.example.com", "pool": "p", "device": "b", "shareID": "x",
            "networkData": {"ips": ["10.0.0.1", "10.0.0.1/8"]},
        });
        claim.set(&["status", "devices"], vec![device]);
    });
    let paths: Vec<&str> = errors.iter().map(|error| error.split(": ").next().unwrap_or("")).collect();
    let at = "status.devices[0]";
    let expected = [format!("{at}.shareID"), at.to_owned(), format!("{at}.networkData.ips[0]")];
    assert_eq!(paths, expected, "{errors:?}");
}

#[test]
fn a_taint_is_dated() {
    let slice = created(
        ("resource.k8s.io", "v1", "resourceslices"),
        &value!({"metadata": {"name": "s"}, "spec": {
            "driver": "d.example.com", "nodeName": "n", "pool": {"name": "p", "generation": 1, "resourceSliceCount": 1},
            "devices": [{"name": "a", "taints": [
                {"key": "k", "effect": "NoSchedule"},
                {"key": "l", "effect": "NoSchedule", "timeAdded": "2020-01-01T00:00:00Z"},
            ]}],
        }}),
    );
    let taints = slice.array_at(&["spec", "devices"])[0].array_at(&["taints"]).to_vec();
    let times: Vec<&str> = taints.iter().map(|taint| taint.str_at(&["timeAdded"])).collect();
    assert_eq!(times, ["1970-01-01T00:00:00Z", "2020-01-01T00:00:00Z"]);
}
