//! `x-kubernetes-validations`: rules in the Common Expression Language that a schema gives its values.
//!
//! [`declare`] says what type a rule's `self` has and how large it can be; [`compile`] makes programs of rules and finds
//! what is wrong with them; `limits` adds up what they may cost, which is limited by rule and by schema; [`evaluate`] runs
//! them over objects.

pub mod compile;
pub mod declare;
pub mod evaluate;
pub(super) mod limits;
