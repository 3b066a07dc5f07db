//! Pods that run: logs, eviction under a disruption budget, and scale.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt;
use kube::api::{DeleteParams, EvictParams, ListParams, LogParams, Patch, PatchParams, PostParams};
use kube::runtime::wait::conditions;
use serde_json::json;

use crate::objects::deployment;
use crate::{cluster, namespaced, refusal, typed, wait};

fn ready(replicas: i32) -> impl Fn(Option<&Deployment>) -> bool {
    move |deployment: Option<&Deployment>| {
        let status = deployment.and_then(|deployment| deployment.status.as_ref());
        status.is_some_and(|status| {
            status.ready_replicas.unwrap_or(0) == replicas && status.replicas == Some(replicas)
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_run_log_scale_and_are_evicted() {
    let (_service, client) = cluster(2).await;
    let (deployments, pods) = (namespaced::<Deployment>(&client), namespaced::<Pod>(&client));
    let budgets = namespaced::<PodDisruptionBudget>(&client);
    let post = PostParams::default();
    deployments.create(&post, &deployment("web", 2)).await.expect("create");
    wait(&deployments, "web", conditions::is_deployment_completed()).await;

    let of_web = ListParams::default().labels("app=web");
    let pod = pods.list(&of_web).await.expect("list").items.remove(0);
    let (name, uid) = (pod.name_any(), pod.uid().expect("a uid"));
    wait(&pods, &name, conditions::is_pod_running()).await;
    let log = pods.logs(&name, &LogParams::default()).await.expect("logs");
    assert!(!log.is_empty());
    let tail =
        pods.logs(&name, &LogParams { tail_lines: Some(1), timestamps: true, ..LogParams::default() }).await;
    let tail = tail.expect("logs");
    assert_eq!(tail.lines().count(), 1, "{tail}");
    let time = tail.split(' ').next().unwrap_or_default();
    assert!(time.contains('T') && time.ends_with('Z'), "{tail}");
    assert_eq!(
        refusal(pods.logs(&name, &LogParams { container: Some("no".into()), ..LogParams::default() }).await)
            .code,
        400
    );

    let scale = deployments.get_scale("web").await.expect("scale");
    assert_eq!(scale.spec.and_then(|spec| spec.replicas), Some(2));
    assert_eq!(scale.status.and_then(|status| status.selector).as_deref(), Some("app=web"));
    let three = Patch::Merge(json!({"spec": {"replicas": 3}}));
    deployments.patch_scale("web", &PatchParams::default(), &three).await.expect("patch");
    wait(&deployments, "web", ready(3)).await;

    let budget = |min: i32| {
        typed(
            json!({"metadata": {"name": "web"}, "spec": {"minAvailable": min, "selector": {"matchLabels": {"app": "web"}}}}),
        )
    };
    budgets.create(&post, &budget(3)).await.expect("create");
    let observed = |allowed: i32| {
        move |budget: Option<&PodDisruptionBudget>| {
            let status =
                budget.and_then(|budget| Some((budget.metadata.generation, budget.status.as_ref()?)));
            status.is_some_and(|(generation, status)| {
                status.observed_generation == generation
                    && status.disruptions_allowed == Some(allowed)
                    && status.current_healthy == Some(3)
            })
        }
    };
    wait(&budgets, "web", observed(0)).await;
    let status = refusal(pods.evict(&name, &EvictParams::default()).await);
    assert_eq!((status.code, status.reason.as_str()), (429, "TooManyRequests"));
    assert_eq!(status.message, "Cannot evict pod as it would violate the pod's disruption budget.");
    let relaxed = Patch::Merge(json!({"spec": {"minAvailable": 2}}));
    budgets.patch("web", &PatchParams::default(), &relaxed).await.expect("patch");
    wait(&budgets, "web", observed(1)).await;
    assert!(pods.evict(&name, &EvictParams::default()).await.expect("evict").is_success());
    wait(&pods, &name, conditions::is_deleted(&uid)).await;
    wait(&deployments, "web", ready(3)).await;
}

/// The kubelet sees that a pod has no time left and removes it, while the API server does the same.
#[tokio::test(flavor = "multi_thread")]
async fn pods_that_run_are_deleted_without_grace_whoever_is_faster() {
    let (_service, client) = cluster(1).await;
    let pods = namespaced::<Pod>(&client);
    let names: Vec<String> = (0..20).map(|i| format!("p{i}")).collect();
    for name in &names {
        let pod = json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
        pods.create(&PostParams::default(), &typed(pod)).await.expect("create");
    }
    for name in &names {
        wait(&pods, name, conditions::is_pod_running()).await;
        pods.delete(name, &DeleteParams::default().grace_period(0)).await.expect("delete");
    }
    let left = pods.list(&ListParams::default()).await.expect("list").items;
    assert!(left.is_empty(), "{left:?}");
}
