//! A pool's launch template. Its latest version is what the pool's machines are launched from.

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{
    InstanceType, LaunchTemplateTagSpecificationRequest, RequestLaunchTemplateData, ResourceType, Tag,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use drydock_cloud_api::{CloudError, ClusterRef, PoolRequest};
use sha2::{Digest, Sha256};

use crate::error::{code, map};
use crate::names;

/// What a template says.
pub(crate) struct Content<'a> {
    pub(crate) pool: &'a PoolRequest,
    pub(crate) image: String,
    pub(crate) security_group: String,
}

impl Content<'_> {
    /// Tells versions apart; kept as a version's description.
    fn fingerprint(&self) -> String {
        let pool = self.pool;
        let text = format!(
            "{:?}",
            (
                &self.image,
                &self.security_group,
                &pool.instance_type,
                &pool.user_data,
                &pool.tags,
                pool.params.get("keyName")
            )
        );
        let digest = Sha256::digest(text.as_bytes());
        digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }

    fn data(&self) -> RequestLaunchTemplateData {
        let pool = self.pool;
        let tags = names::tags(&pool.cluster, Some(&pool.node_pool), &pool.tags);
        let tags: Vec<Tag> = tags.iter().map(|(k, v)| Tag::builder().key(k).value(v).build()).collect();
        let tagged = |kind| {
            LaunchTemplateTagSpecificationRequest::builder()
                .resource_type(kind)
                .set_tags(Some(tags.clone()))
                .build()
        };
        let user_data = Some(&pool.user_data).filter(|text| !text.is_empty());
        RequestLaunchTemplateData::builder()
            .image_id(&self.image)
            .instance_type(InstanceType::from(pool.instance_type.as_str()))
            .security_group_ids(&self.security_group)
            .set_user_data(user_data.map(|text| STANDARD.encode(text)))
            .set_key_name(pool.params.get("keyName").cloned())
            .tag_specifications(tagged(ResourceType::Instance))
            .tag_specifications(tagged(ResourceType::Volume))
            .build()
    }
}

/// Makes the template, or a new version of it when it says something else.
pub(crate) async fn ensure(client: &Client, content: &Content<'_>) -> Result<(), CloudError> {
    let pool = content.pool;
    let name = names::launch_template(&pool.cluster, &pool.node_pool);
    let fingerprint = content.fingerprint();
    match latest_description(client, &name).await? {
        None => {
            let tags = names::tags(&pool.cluster, Some(&pool.node_pool), &pool.tags);
            client
                .create_launch_template()
                .launch_template_name(&name)
                .version_description(&fingerprint)
                .launch_template_data(content.data())
                .tag_specifications(names::tag_specification(ResourceType::LaunchTemplate, &tags))
                .send()
                .await
                .map_err(map("CreateLaunchTemplate"))?;
        }
        Some(latest) if latest == fingerprint => {}
        Some(_) => {
            client
                .create_launch_template_version()
                .launch_template_name(&name)
                .version_description(&fingerprint)
                .launch_template_data(content.data())
                .send()
                .await
                .map_err(map("CreateLaunchTemplateVersion"))?;
        }
    }
    Ok(())
}

/// The fingerprint of the latest version. None when there is no template.
async fn latest_description(client: &Client, name: &str) -> Result<Option<String>, CloudError> {
    let request = client.describe_launch_template_versions().launch_template_name(name).versions("$Latest");
    match request.send().await {
        Ok(reply) => {
            let latest = reply.launch_template_versions().first();
            Ok(latest.map(|version| version.version_description().unwrap_or_default().to_owned()))
        }
        Err(error) if code(&error).contains("NotFound") => Ok(None),
        Err(error) => Err(map("DescribeLaunchTemplateVersions")(error)),
    }
}

/// Deletes the cluster's templates, or only that of one pool.
pub(crate) async fn delete(
    client: &Client,
    cluster: &ClusterRef,
    node_pool: Option<&str>,
) -> Result<(), CloudError> {
    let mut request = client.describe_launch_templates().filters(names::owned_by(cluster));
    if let Some(node_pool) = node_pool {
        request = request.filters(names::filter(format!("tag:{}", names::NODEGROUP), &[node_pool]));
    }
    let mut templates = request.into_paginator().items().send();
    let mut ids: Vec<String> = Vec::new();
    while let Some(template) = templates.next().await {
        ids.extend(template.map_err(map("DescribeLaunchTemplates"))?.launch_template_id);
    }
    for id in ids {
        match client.delete_launch_template().launch_template_id(id).send().await {
            Err(error) if !code(&error).contains("NotFound") => {
                return Err(map("DeleteLaunchTemplate")(error));
            }
            _ => {}
        }
    }
    Ok(())
}
