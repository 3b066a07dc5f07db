//! Refusals as a typed client sees them.

use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, ServiceAccount};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::config::AuthInfo;
use kube::{Client, ResourceExt};
use serde_json::json;

use crate::objects::config_map;
use crate::{cluster, config, eventually, namespaced, refusal, typed};

#[tokio::test(flavor = "multi_thread")]
async fn errors_have_their_code_reason_and_causes() {
    let (_service, client) = cluster(0).await;
    let maps = namespaced::<ConfigMap>(&client);
    let post = PostParams::default();

    let status = refusal(maps.get("none").await);
    assert!(status.is_not_found());
    assert_eq!((status.code, status.message.as_str()), (404, "configmaps \"none\" not found"));
    let details = status.details.expect("details");
    assert_eq!((details.name.as_str(), details.kind.as_str()), ("none", "configmaps"));
    assert!(refusal(maps.delete("none", &DeleteParams::default()).await).is_not_found());

    maps.create(&post, &config_map("twice", json!({}))).await.expect("create");
    let status = refusal(maps.create(&post, &config_map("twice", json!({}))).await);
    assert!(status.is_already_exists());
    assert_eq!((status.code, status.message.as_str()), (409, "configmaps \"twice\" already exists"));

    let pods = namespaced::<Pod>(&client);
    let pod = json!({"metadata": {"name": "Bad_Name"}, "spec": {"containers": [{"name": "c"}], "restartPolicy": "Perhaps"}});
    let status = refusal(pods.create(&post, &typed(pod)).await);
    assert_eq!((status.code, status.reason.as_str()), (422, "Invalid"));
    let causes = status.details.expect("details").causes;
    let causes: Vec<_> = causes.iter().map(|cause| (cause.field.as_str(), cause.reason.as_str())).collect();
    assert_eq!(
        causes,
        [
            ("metadata.name", "FieldValueInvalid"),
            ("spec.containers[0].image", "FieldValueRequired"),
            ("spec.restartPolicy", "FieldValueNotSupported"),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_requested_token_is_its_service_accounts_and_may_do_nothing_without_a_role() {
    let (service, client) = cluster(0).await;
    let accounts = namespaced::<ServiceAccount>(&client);
    accounts
        .create(&PostParams::default(), &typed(json!({"metadata": {"name": "robot"}})))
        .await
        .expect("create");
    let request: TokenRequest = typed(json!({"spec": {"audiences": [], "expirationSeconds": 900}}));
    let issued =
        accounts.create_token_request("robot", &PostParams::default(), &request).await.expect("a token");
    let issued = issued.status.expect("a status");

    let mut limited = config(&service.kubectl("kube")).await;
    limited.auth_info = AuthInfo { token: issued.token.map(Into::into), ..AuthInfo::default() };
    let limited = Client::try_from(limited).expect("a client");
    let status = refusal(namespaced::<Pod>(&limited).list(&ListParams::default()).await);
    assert!(status.is_forbidden());
    assert_eq!((status.code, status.reason.as_str()), (403, "Forbidden"));
    assert_eq!(
        status.message,
        "pods is forbidden: User \"system:serviceaccount:default:robot\" cannot list resource \"pods\" in API group \"\" \
         in the namespace \"default\""
    );
    // What every authenticated user may do, it may.
    assert_eq!(limited.apiserver_version().await.expect("a version").major, "1");

    let binding = json!({
        "metadata": {"name": "robot"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "ServiceAccount", "name": "robot", "namespace": "default"}],
    });
    let bindings = namespaced::<k8s_openapi::api::rbac::v1::RoleBinding>(&client);
    bindings.create(&PostParams::default(), &typed(binding)).await.expect("create");
    let pods = namespaced::<Pod>(&limited);
    eventually("the role counts", async || pods.list(&ListParams::default()).await).await;
    let unknown = refusal(accounts.create_token_request("nobody", &PostParams::default(), &request).await);
    assert_eq!(unknown.message, "serviceaccounts \"nobody\" not found");
    assert_eq!(accounts.get("robot").await.expect("get").name_any(), "robot");
}
