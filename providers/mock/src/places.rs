//! Regions and zones. Those of several clouds, so that what is written for one of them can be tried here; the zones are
//! named as the cloud of that kind of name would name them.

pub(crate) const REGIONS: &[&str] = &[
    "local",
    "us-east-1",
    "us-east-2",
    "us-west-2",
    "eu-west-1",
    "eu-central-1",
    "ap-southeast-1",
    "us-central1",
    "us-east1",
    "europe-west1",
    "asia-east1",
    "eastus",
    "westus2",
    "westeurope",
    "northeurope",
];

pub(crate) fn is_region(region: &str) -> bool {
    REGIONS.contains(&region)
}

/// Three of them: `us-east-1a`, `us-central1-a`, `eastus-1`.
pub(crate) fn zones(region: &str) -> Vec<String> {
    let bytes = region.as_bytes();
    let ends_in_digit = bytes.last().is_some_and(u8::is_ascii_digit);
    let before = bytes.len().checked_sub(2).and_then(|i| bytes.get(i));
    let suffixes = match (ends_in_digit, before) {
        (true, Some(b'-')) => ["a", "b", "c"],
        (true, _) => ["-a", "-b", "-c"],
        (false, _) => ["-1", "-2", "-3"],
    };
    suffixes.iter().map(|suffix| format!("{region}{suffix}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_named_as_the_clouds_name_them() {
        assert_eq!(zones("us-east-1"), ["us-east-1a", "us-east-1b", "us-east-1c"]);
        assert_eq!(zones("us-central1"), ["us-central1-a", "us-central1-b", "us-central1-c"]);
        assert_eq!(zones("eastus"), ["eastus-1", "eastus-2", "eastus-3"]);
        assert!(is_region("local") && !is_region("") && !is_region("Us-East-1") && !is_region("us-east-9"));
    }
}
