//! Match conditions: whether a webhook or a policy is asked at all.

use std::sync::Arc;

use drydock_kinds::expression::{Compiler, Returns, Scope};
use drydock_machinery::Value;

use super::{CONDITIONS_BUDGET, Composition, Expression, Inputs, Session};

/// The compiled conditions of one webhook or policy.
#[derive(Debug, Default)]
pub(in crate::admission) struct Conditions(Vec<Expression>);

impl Conditions {
    /// Compiles the `matchConditions` of `holder`.
    pub(in crate::admission) fn new(compiler: &Compiler, holder: &Value, scope: Scope) -> Self {
        let conditions = holder.array_at(&["matchConditions"]).iter();
        let compiled = conditions.map(|condition| {
            Expression::new(compiler, condition.str_at(&["expression"]), scope, Returns::Bool)
        });
        Self(compiled.collect())
    }

    pub(in crate::admission) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether all hold. One that does not decides, whatever the others came to.
    ///
    /// # Errors
    /// What went wrong, unless that is to be `ignored`: the answer then is no.
    pub(in crate::admission) async fn hold(
        &self,
        inputs: &Inputs,
        composition: Option<&Arc<Composition>>,
        ignored: bool,
    ) -> Result<bool, String> {
        if self.is_empty() {
            return Ok(true);
        }
        // Conditions do not see the namespace.
        let inputs = inputs.clone().with_namespace(None);
        let mut session = Session::new(inputs, composition.cloned(), CONDITIONS_BUDGET);
        let mut wrong: Vec<String> = Vec::new();
        for condition in &self.0 {
            match session.evaluate(condition).await {
                Ok(Ok(value)) if value.as_bool() == Some(false) => return Ok(false),
                Ok(Ok(_)) => {}
                Ok(Err(why)) if !wrong.contains(&why) => wrong.push(why),
                Ok(Err(_)) => {}
                Err(_) if ignored => return Ok(false),
                Err(exhausted) => return Err(exhausted.0),
            }
        }
        match wrong.as_slice() {
            [] => Ok(true),
            _ if ignored => Ok(false),
            [one] => Err(one.clone()),
            several => Err(format!("[{}]", several.join(", "))),
        }
    }
}
