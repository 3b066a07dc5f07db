pub(crate) mod documents;
