//! The order in which upstream lists ports: by their hashes.
//!
//! What is hashed is the Go value as it is printed for hashing, so each version of the port has its own.

use drydock_machinery::Value;

/// Sorts the ports of an endpoint slice.
pub(super) fn sort_slice_ports(ports: &mut [Value]) {
    ports.sort_by_cached_key(|port| fnv128a(&slice_port(port)));
}

/// Sorts the ports of a subset of `Endpoints`.
pub(super) fn sort_subset_ports(ports: &mut [Value]) {
    ports.sort_by_cached_key(|port| fnv128a(&subset_port(port)));
}

fn text<'a>(port: &'a Value, field: &str) -> &'a str {
    match port.str_at(&[field]) {
        "" => "<nil>",
        text => text,
    }
}

fn number(port: &Value) -> String {
    port.i64_at(&["port"]).map_or_else(|| "<nil>".to_owned(), |number| number.to_string())
}

fn slice_port(port: &Value) -> String {
    let (name, protocol) = (port.str_at(&["name"]), text(port, "protocol"));
    let (number, app) = (number(port), text(port, "appProtocol"));
    format!(
        "(v1.EndpointPort){{Name:(*string){name} Protocol:(*v1.Protocol){protocol} Port:(*int32){number} \
         AppProtocol:(*string){app}}}"
    )
}

fn subset_port(port: &Value) -> String {
    let (name, protocol) = (port.str_at(&["name"]), port.str_at(&["protocol"]));
    let (number, app) = (number(port), text(port, "appProtocol"));
    format!(
        "(v1.EndpointPort){{Name:(string){name} Port:(int32){number} Protocol:(v1.Protocol){protocol} \
         AppProtocol:(*string){app}}}"
    )
}

/// 128-bit FNV-1a.
fn fnv128a(text: &str) -> u128 {
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    text.bytes().fold(OFFSET, |hash, byte| (hash ^ u128::from(byte)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests {
    use drydock_machinery::value;

    use super::*;

    #[test]
    fn ports_are_in_the_order_of_their_hashes() {
        let port = |name: &str| value!({"name": name, "protocol": "TCP", "port": 8080});
        assert_eq!(fnv128a(&slice_port(&port("a"))), 0x4e47_056c_81e4_7ad2_971a_a4dc_9c84_bef8);
        assert_eq!(fnv128a(&subset_port(&port("a"))), 0xa54f_f1b4_4c71_0ffd_9419_7714_b89f_7c2a);
        let mut ports = [port("a"), port("b")];
        sort_slice_ports(&mut ports);
        assert_eq!(ports, [port("b"), port("a")]);
    }
}
