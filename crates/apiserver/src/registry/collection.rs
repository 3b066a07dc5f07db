//! deletecollection: a list, and a delete of each of its items.

use std::sync::Arc;

use drydock_client::{Options, Reply};
use drydock_machinery::{Object, ObjectMeta, Status};

use super::list::without_retry;
use super::{Call, Done, Registry, Selection, delete_options};

impl Registry {
    /// Answers with the objects as they were. One that is gone by the time its turn comes is no error.
    pub(crate) async fn delete_collection(&self, call: &mut Call) -> Result<Done, Status> {
        Selection::new(&call.resource, &call.request)?;
        super::options::check_list(&call.request.options, false)?;
        delete_options::read(call)?;
        super::options::check(&call.request)?;
        super::delete::warn_of_default(call);
        let list = self.list(call).await.map_err(without_retry)?;
        for item in &list.items {
            self.delete_item(call, item.clone()).await?;
        }
        Ok(Done::ok(Reply::List(list)))
    }

    async fn delete_item(&self, call: &mut Call, item: Arc<Object>) -> Result<(), Status> {
        let mut request = call.request.clone();
        request.name = item.name().to_owned();
        request.namespace = item.namespace().to_owned();
        request.options = Options { label_selector: String::new(), ..request.options };
        let mut one = Call {
            user: call.user.clone(),
            resource: call.resource.clone(),
            request,
            body: call.body.clone(),
            default_manager: call.default_manager.clone(),
            warnings: Vec::new(),
            audit: call.audit.clone(),
            elsewhere: call.elsewhere.clone(),
            emptied: Default::default(),
        };
        match self.delete_object(&mut one, item).await {
            Err(status) if !status.is_not_found() => Err(status),
            _ => {
                call.warnings.append(&mut one.warnings);
                Ok(())
            }
        }
    }
}
