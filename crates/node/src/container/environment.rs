//! The environment of a container's processes, as the kubelet and the runtime put it together.

use drydock_client::resources::{CONFIG_MAPS, SECRETS, SERVICES};
use drydock_client::{Client, Options};
use drydock_machinery::quantity::Quantity;
use drydock_machinery::{Object, ObjectMeta, Value};

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Names and values in the order in which `env` prints them.
pub(crate) type Environment = Vec<(String, String)>;

pub(crate) async fn resolve(client: &Client, pod: &Object, container: &Value, tty: bool) -> Environment {
    let mut all = vec![("PATH".to_owned(), PATH.to_owned()), ("HOSTNAME".to_owned(), hostname(pod))];
    if tty {
        put(&mut all, "TERM", "xterm".to_owned());
    }
    let services = services(client, pod).await;
    for source in container.array_at(&["envFrom"]) {
        let prefix = source.str_at(&["prefix"]);
        for (kind, secret) in [("configMapRef", false), ("secretRef", true)] {
            let name = source.str_at(&[kind, "name"]);
            if !name.is_empty() {
                for (key, value) in data(client, pod.namespace(), name, secret).await {
                    put(&mut all, &format!("{prefix}{key}"), String::from_utf8_lossy(&value).into_owned());
                }
            }
        }
    }
    for variable in container.array_at(&["env"]) {
        let name = variable.str_at(&["name"]);
        let value = match variable.get("valueFrom").filter(|from| !from.is_null()) {
            Some(from) => from_source(client, pod, container, from).await,
            None => {
                let known = |name: &str| find(&all, name).or_else(|| find(&services, name));
                Some(expand(variable.str_at(&["value"]), known))
            }
        };
        if let Some(value) = value {
            put(&mut all, name, value);
        }
    }
    for (name, value) in services {
        if find(&all, &name).is_none() {
            all.push((name, value));
        }
    }
    if find(&all, "HOME").is_none() {
        let home = if super::user(pod, container).0 == 0 { "/root" } else { "/" };
        all.push(("HOME".to_owned(), home.to_owned()));
    }
    all
}

/// What the pod's own `hostname` says, or its node's when it shares its network.
pub(crate) fn hostname(pod: &Object) -> String {
    if pod.bool_at(&["spec", "hostNetwork"]) {
        return pod.str_at(&["spec", "nodeName"]).to_owned();
    }
    let name = match pod.str_at(&["spec", "hostname"]) {
        "" => pod.name(),
        name => name,
    };
    // The kernel takes no more.
    name.chars().take(63).collect::<String>().trim_end_matches(['-', '.']).to_owned()
}

/// The data of a ConfigMap or a Secret; none when it is not there.
pub(crate) async fn data(
    client: &Client,
    namespace: &str,
    name: &str,
    secret: bool,
) -> Vec<(String, Vec<u8>)> {
    let resource = if secret { &SECRETS } else { &CONFIG_MAPS };
    let Ok(object) = client.get(resource, namespace, name).await else { return Vec::new() };
    let decode = |value: &Value| super::base64(value.as_str().unwrap_or(""));
    let plain = |value: &Value| value.as_str().unwrap_or("").as_bytes().to_vec();
    let mut all: Vec<(String, Vec<u8>)> = object
        .object_at(&["data"])
        .iter()
        .map(|(key, value)| (key.to_string(), if secret { decode(value) } else { plain(value) }))
        .collect();
    let binary = object.object_at(&["binaryData"]);
    all.extend(binary.iter().map(|(key, value)| (key.to_string(), decode(value))));
    all
}

async fn from_source(client: &Client, pod: &Object, container: &Value, from: &Value) -> Option<String> {
    for (kind, secret) in [("configMapKeyRef", false), ("secretKeyRef", true)] {
        let name = from.str_at(&[kind, "name"]);
        if !name.is_empty() {
            let all = data(client, pod.namespace(), name, secret).await;
            let found = all.into_iter().find(|(key, _)| key == from.str_at(&[kind, "key"]));
            return found.map(|(_, value)| String::from_utf8_lossy(&value).into_owned());
        }
    }
    if let Some(reference) = from.get("fieldRef") {
        return Some(field(pod, reference.str_at(&["fieldPath"])));
    }
    from.get("resourceFieldRef").map(|reference| resource(pod, container, reference))
}

/// A field of the pod, as the downward API names it.
pub(crate) fn field(pod: &Object, path: &str) -> String {
    if let Some((map, key)) = path.split_once("['") {
        let key = key.trim_end_matches("']");
        let map = map.trim_start_matches("metadata.");
        return pod.str_at(&["metadata", map, key]).to_owned();
    }
    match path {
        "metadata.labels" | "metadata.annotations" => {
            let map = pod.object_at(&["metadata", path.trim_start_matches("metadata.")]);
            let line = |(key, value): (&drydock_machinery::Key, &Value)| {
                format!("{key}={:?}", value.as_str().unwrap_or(""))
            };
            map.iter().map(line).collect::<Vec<_>>().join("\n")
        }
        "status.podIPs" | "status.hostIPs" => {
            let all = pod.array_at(&["status", path.trim_start_matches("status.")]).iter();
            all.map(|ip| ip.str_at(&["ip"])).collect::<Vec<_>>().join(",")
        }
        path => pod.str_at(&path.split('.').collect::<Vec<_>>()).to_owned(),
    }
}

/// A request or limit of a container in units of the divisor, rounded up.
pub(crate) fn resource(pod: &Object, container: &Value, reference: &Value) -> String {
    let containers = pod.array_at(&["spec", "containers"]);
    let named = containers.iter().find(|own| own.str_at(&["name"]) == reference.str_at(&["containerName"]));
    let (list, name) = reference.str_at(&["resource"]).split_once('.').unwrap_or(("", ""));
    let amount = Quantity::of(named.unwrap_or(container).at(&["resources", list, name]));
    let divisor = match reference.get("divisor") {
        Some(divisor) if !Quantity::of(Some(divisor)).is_zero() => Quantity::of(Some(divisor)),
        _ => Quantity::of(Some(&Value::from("1"))),
    };
    if name == "cpu" {
        let (amount, divisor) = (amount.milli_value(), divisor.milli_value().max(1));
        return ((amount + divisor - 1) / divisor).to_string();
    }
    let (amount, divisor) = (amount.value(), divisor.value().max(1));
    ((amount + divisor - 1) / divisor).to_string()
}

/// The variables that tell of the namespace's Services, and of `kubernetes`.
async fn services(client: &Client, pod: &Object) -> Environment {
    let mut found = Vec::new();
    if let Ok(service) = client.get(&SERVICES, "default", "kubernetes").await {
        found.push(service);
    }
    if pod.at(&["spec", "enableServiceLinks"]).and_then(Value::as_bool) != Some(false)
        && let Ok(list) = client.list(&SERVICES, pod.namespace(), Options::default()).await
    {
        found.extend(list.items.into_iter().filter(|one| one.name() != "kubernetes"));
    }
    found.iter().flat_map(|service| service_variables(service)).collect()
}

fn service_variables(service: &Object) -> Environment {
    let ip = service.str_at(&["spec", "clusterIP"]);
    let ports = service.array_at(&["spec", "ports"]);
    if ip.is_empty() || ip == "None" || ports.is_empty() {
        return Vec::new();
    }
    let name = variable_name(service.name());
    let number = |port: &Value| port.i64_at(&["port"]).unwrap_or(0);
    let mut all = vec![(format!("{name}_SERVICE_HOST"), ip.to_owned())];
    all.push((format!("{name}_SERVICE_PORT"), number(&ports[0]).to_string()));
    for port in ports.iter().filter(|port| !port.str_at(&["name"]).is_empty()) {
        let port_name = variable_name(port.str_at(&["name"]));
        all.push((format!("{name}_SERVICE_PORT_{port_name}"), number(port).to_string()));
    }
    for (i, port) in ports.iter().enumerate() {
        let protocol = match port.str_at(&["protocol"]) {
            "" => "TCP",
            protocol => protocol,
        };
        let (number, low) = (number(port), protocol.to_lowercase());
        let url = format!("{low}://{ip}:{number}");
        if i == 0 {
            all.push((format!("{name}_PORT"), url.clone()));
        }
        let prefix = format!("{name}_PORT_{number}_{protocol}");
        all.push((prefix.clone(), url));
        all.push((format!("{prefix}_PROTO"), low));
        all.push((format!("{prefix}_PORT"), number.to_string()));
        all.push((format!("{prefix}_ADDR"), ip.to_owned()));
    }
    all
}

fn variable_name(name: &str) -> String {
    name.to_uppercase().replace('-', "_")
}

fn put(all: &mut Environment, name: &str, value: String) {
    match all.iter_mut().find(|(own, _)| own == name) {
        Some(known) => known.1 = value,
        None => all.push((name.to_owned(), value)),
    }
}

fn find(all: &Environment, name: &str) -> Option<String> {
    all.iter().find(|(own, _)| own == name).map(|(_, value)| value.clone())
}

/// Replaces `$(NAME)` of known names; `$$` is a dollar.
pub(crate) fn expand(text: &str, known: impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix('(').and_then(|inner| inner.split_once(')')) {
            match known(name) {
                Some(value) => out.push_str(&value),
                None => out.push_str(&format!("$({name})")),
            }
            rest = after;
        } else {
            out.push('$');
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use drydock_machinery::value;

    use super::*;

    #[test]
    fn references_to_other_variables_are_expanded() {
        let known = |name: &str| (name == "A").then(|| "1".to_owned());
        assert_eq!(expand("$(A)-$(B)-$$(A)-$x-$", known), "1-$(B)-$(A)-$x-$");
    }

    #[test]
    fn services_are_told_as_docker_links_were() {
        let service = value!({"metadata": {"name": "my-web"}, "spec": {"clusterIP": "10.96.0.9",
            "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}});
        let all = service_variables(&Object::new(service, 1));
        let text: Vec<String> = all.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            text,
            [
                "MY_WEB_SERVICE_HOST=10.96.0.9",
                "MY_WEB_SERVICE_PORT=80",
                "MY_WEB_SERVICE_PORT_HTTP=80",
                "MY_WEB_PORT=tcp://10.96.0.9:80",
                "MY_WEB_PORT_80_TCP=tcp://10.96.0.9:80",
                "MY_WEB_PORT_80_TCP_PROTO=tcp",
                "MY_WEB_PORT_80_TCP_PORT=80",
                "MY_WEB_PORT_80_TCP_ADDR=10.96.0.9",
            ]
        );
    }

    #[test]
    fn resources_are_in_units_of_the_divisor() {
        let pod = Object::new(value!({"spec": {"containers": [{"name": "c"}]}}), 1);
        let container = value!({"resources": {"limits": {"cpu": "1500m", "memory": "64Mi"}}});
        let read = |resource_name: &str, divisor: &str| {
            let mut reference = value!({"resource": resource_name});
            reference.set(&["divisor"], divisor);
            resource(&pod, &container, &reference)
        };
        assert_eq!(read("limits.cpu", "0"), "2");
        assert_eq!(read("limits.cpu", "1m"), "1500");
        assert_eq!(read("limits.memory", "1Mi"), "64");
    }
}
