//! Who may do what: authentication, RBAC and the bootstrap policy
