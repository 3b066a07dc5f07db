//! A server that knows tokens that the cluster does not: asked by TokenReviews, its answers remembered for a while.

use std::time::Duration;

use drydock_auth::UserInfo;
use drydock_auth::config::TokenWebhook as Config;
use drydock_auth::tokens::{TokenError, Verified};
use drydock_machinery::{Value, value};
use drydock_runtime::wall;

use super::outbound::{Answer, Outbound};
use super::remembered::{self, Remembered};

const TIMEOUT: Duration = Duration::from_secs(10);

pub(super) struct TokenWebhook {
    config: Config,
    outbound: Result<Outbound, String>,
    answers: Remembered<Option<Verified>>,
}

impl TokenWebhook {
    pub(super) fn new(config: Config) -> Self {
        let outbound = Outbound::to(&config.server);
        Self { config, outbound, answers: Remembered::new() }
    }

    /// The user of a token for any of `audiences`; None when the server does not know it. `own` are the API server's
    /// audiences: what a server means that names none.
    ///
    /// # Errors
    /// What the server says against the token, or why it could not be asked.
    pub(super) async fn user(
        &self,
        token: &str,
        audiences: &[String],
        own: &[String],
    ) -> Result<Option<Verified>, TokenError> {
        let wanted = if audiences.is_empty() { own } else { audiences };
        let key = remembered::key(&[token.as_bytes(), wanted.join("\n").as_bytes()]);
        if let Some(answer) = self.answers.get(&key) {
            return Ok(answer);
        }
        let review = self.ask(token, wanted).await.map_err(TokenError)?;
        let status = review.get("status").cloned().unwrap_or_default();
        let verified = verified(&status, wanted, own);
        if verified.is_none() && !status.str_at(&["error"]).is_empty() {
            return Err(TokenError(status.str_at(&["error"]).to_owned()));
        }
        self.answers.put(key, verified.clone(), self.config.cache_ttl);
        Ok(verified)
    }

    async fn ask(&self, token: &str, audiences: &[String]) -> Result<Value, String> {
        let outbound = self.outbound.as_ref().map_err(Clone::clone)?;
        let mut review = value!({"kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1",
            "metadata": {}, "spec": {}, "status": {"user": {}}});
        review.set(&["spec", "token"], token);
        review.set(&["spec", "audiences"], audiences.to_vec());
        ask(outbound, &self.config.server.url, &review, TIMEOUT).await
    }
}

fn verified(status: &Value, wanted: &[String], own: &[String]) -> Option<Verified> {
    if !status.bool_at(&["authenticated"]) {
        return None;
    }
    let named: Vec<&str> = status.array_at(&["audiences"]).iter().filter_map(Value::as_str).collect();
    let is_for = |audience: &&String| {
        if named.is_empty() { own.contains(audience) } else { named.contains(&audience.as_str()) }
    };
    let audiences: Vec<String> = wanted.iter().filter(is_for).cloned().collect();
    if audiences.is_empty() {
        return None;
    }
    let user = UserInfo::from_value(status.get("user")?, "username");
    Some(Verified::new(user, audiences))
}

/// How often a server that is in trouble is asked, and how long after the first time.
const ATTEMPTS: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// Posts a review and reads the answer. Servers that are in trouble are asked again, with growing pauses.
pub(super) async fn ask(
    outbound: &Outbound,
    url: &str,
    review: &Value,
    timeout: Duration,
) -> Result<Value, String> {
    let body = review.to_json();
    let mut pause = FIRST_PAUSE;
    for attempt in 1.. {
        let answer = outbound.post(url, body.clone(), timeout).await;
        let in_trouble = match &answer {
            Ok(answer) => matches!(answer.code, 429 | 500 | 504),
            Err(why) => why.contains("reset by peer"),
        };
        if !in_trouble || attempt >= ATTEMPTS {
            return read(&answer?);
        }
        wall::sleep(pause).await;
        pause = pause.mul_f64(1.5);
    }
    Err("it was never asked".to_owned())
}

fn read(answer: &Answer) -> Result<Value, String> {
    if !(200..300).contains(&answer.code) {
        return Err(format!("the server responded with status code {}", answer.code));
    }
    Value::from_json(&answer.body)
        .map_err(|error| format!("couldn't get version/kind; json parse error: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_for_the_audiences_that_they_name() {
        let own = ["api".to_owned()];
        let check = |status: Value, wanted: &[&str], expected: Option<&[&str]>| {
            let wanted: Vec<String> = wanted.iter().map(|&audience| audience.to_owned()).collect();
            let found = verified(&status, &wanted, &own);
            let expected =
                expected.map(|list| list.iter().map(|&audience| audience.to_owned()).collect::<Vec<_>>());
            assert_eq!(found.map(|verified| verified.audiences), expected);
        };
        let good = value!({"authenticated": true, "user": {"username": "ann"}});
        check(good.clone(), &["api"], Some(&["api"]));
        check(good.clone(), &["vault"], None);
        let mut named = good;
        named.set(&["audiences"], vec!["vault".to_owned()]);
        check(named, &["vault", "api"], Some(&["vault"]));
        check(value!({"authenticated": false}), &["api"], None);
    }
}
