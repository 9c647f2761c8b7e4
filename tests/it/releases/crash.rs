//! The runner killed with -9 after every record of its journal: recovery ends converged or reverted, compared.

use super::Sim;
use super::bench::matrix;
use pilothouse::domain::run::RunKind;

#[tokio::test]
async fn a_deploy_killed_after_any_odd_record_is_recovered() {
    matrix(&Sim::new(2), RunKind::Deploy, 1, 2).await;
}

#[tokio::test]
async fn a_deploy_killed_after_any_even_record_is_recovered() {
    matrix(&Sim::new(2), RunKind::Deploy, 2, 2).await;
}

#[tokio::test]
async fn a_rollback_killed_after_any_odd_record_is_recovered() {
    matrix(&Sim::new(2), RunKind::Rollback, 1, 2).await;
}

#[tokio::test]
async fn a_rollback_killed_after_any_even_record_is_recovered() {
    matrix(&Sim::new(2), RunKind::Rollback, 2, 2).await;
}
