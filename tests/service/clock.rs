//! Clusters' clocks through the API and the command line.

use serde_json::json;

use crate::harness::World;

const CLOCK: &str = "/v1/clusters/dev/clock";

#[tokio::test]
async fn a_clock_is_read_stepped_and_given_a_speed() {
    let world = World::new().await;
    world.cluster("dev", 0).await;
    let start = json!({"now": "2026-01-01T00:00:00.000Z", "speed": 0.0});
    assert_eq!(world.get(CLOCK).await.ok().json, start);
    let later = world.post(CLOCK, &json!({"advance": "1h30m"})).await.ok();
    assert_eq!(later.json["now"], "2026-01-01T01:30:00.000Z");
    let fast = world.post(CLOCK, &json!({"speed": 60, "advance": "1s"})).await.ok();
    assert_eq!(fast.json["speed"], 60.0);
    assert_eq!(world.get("/v1/clusters/none/clock").await.problem(404).0, "notFound");
}

#[tokio::test]
async fn a_wrong_change_of_a_clock_names_the_field_and_changes_nothing() {
    let world = World::new().await;
    world.cluster("dev", 0).await;
    let before = world.get(CLOCK).await.ok().json;
    let duration = "must be a duration such as \"90s\", \"5m\" or \"1h30m\"";
    for (body, says) in [
        (json!({}), "advance: is required, unless speed is given".to_owned()),
        (json!({"advance": "soon"}), format!("advance: {duration}, not \"soon\"")),
        (json!({"advance": 5}), format!("advance: {duration}, not 5")),
        (json!({"advance": "-5m"}), format!("advance: {duration}, not \"-5m\"")),
        (json!({"advance": "0s"}), "advance: must be more than 0 and at most 744h".to_owned()),
        (json!({"advance": "745h"}), "advance: must be more than 0 and at most 744h".to_owned()),
        (json!({"speed": "fast"}), "speed: must be a number, not \"fast\"".to_owned()),
        (
            json!({"speed": -1}),
            "speed: -1 must be 0, which stops the clock, or between 0.001 and 100000".to_owned(),
        ),
        (
            json!({"by": "5m"}),
            "by: is not a field of a change of a clock; those are speed, advance".to_owned(),
        ),
    ] {
        let (_, errors) = world.post(CLOCK, &body).await.problem(422);
        assert_eq!(errors, [says], "{body}");
    }
    assert_eq!(world.get(CLOCK).await.ok().json, before);
}

#[tokio::test]
async fn a_cluster_that_does_not_run_has_no_clock() {
    let world = World::new().await;
    world.fakes.change(|state| {
        let reason = drydock::database::cluster::Reason::new("StateDamaged", "its file is damaged");
        state.broken.insert("dev".into(), reason);
    });
    world.post("/v1/clusters", &json!({"name": "dev"})).await;
    world.until("/v1/clusters/dev", "/state", "failed").await;
    let (code, _) = world.post(CLOCK, &json!({"advance": "1s"})).await.problem(409);
    assert_eq!(code, "notReady");
}
