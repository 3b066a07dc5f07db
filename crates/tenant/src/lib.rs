//! One cluster's control plane, assembled
