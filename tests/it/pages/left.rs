//! What a run left that needs a human: a few lines beside the stages, all of it on a page of its own.

use crokey::key;
use pilothouse::app::layer::Layer;
use pilothouse::app::{Effect, PaneId};
use pilothouse::domain::run::{Outcome, RunStatus, RunView};

use super::deploy;
use super::support::{Room, ago};

/// A dozen differences, none of which fits into a row.
fn left(differences: usize) -> RunView {
    let of = |number: usize| {
        format!(
            "web-{}: shop.r42.{number} is still there (running, policy no), and nothing says whether the proxy \
             of that host still routes to it; difference {number}",
            number % 2 + 1
        )
    };
    RunView {
        status: RunStatus::Closed {
            at: ago(3),
            outcome: Outcome::NeedsHuman {
                why: "web-2 did not answer while it was undone".to_owned(),
                differences: (1..=differences).map(of).collect(),
            },
        },
        hints: vec!["look at the proxy of web-2 first".to_owned()],
        ..deploy(2)
    }
}

fn opened() -> Room {
    let mut room = Room::new(80, 24);
    room.run(left(12));
    room.key(key!(6));
    room
}

#[test]
fn a_dozen_differences_leave_the_stages_on_the_screen() {
    let mut room = opened();
    let screen = room.screen();
    for word in ["… and 9 more: Enter shows all", "web-1 ✓", "gate", "output"] {
        assert!(screen.contains(word), "{word} is not in\n{screen}");
    }
    insta::assert_snapshot!(screen);
}

#[test]
fn enter_shows_every_difference_whole() {
    let mut room = opened();
    room.key(key!(enter));
    insta::assert_snapshot!(room.screen());
    room.key(key!(shift - g));
    let screen = room.screen();
    for word in ["difference 12", "X recovers it", "hint: look at the proxy"] {
        assert!(screen.contains(word), "{word} is not in\n{screen}");
    }
}

#[test]
fn its_keys_close_go_on_to_the_output_and_recover() {
    let mut room = opened();
    room.keys(&[key!(enter), key!(esc)]);
    assert!(room.model.layer.is_none());
    assert_eq!(room.model.focus, PaneId::Pipeline);
    room.keys(&[key!(enter), key!(enter)]);
    assert!(room.model.layer.is_none());
    assert_eq!(room.model.focus, PaneId::Logs, "the whole output");
    room.keys(&[key!(esc), key!(enter), key!(l)]);
    assert_eq!(room.model.focus, PaneId::Logs);
    room.key(key!(esc));
    // Of one host it is the output that is asked for.
    room.keys(&[key!(down), key!(enter)]);
    assert_eq!(room.model.focus, PaneId::Logs);
    room.keys(&[key!(esc), key!(esc), key!(enter)]);
    assert!(matches!(room.model.layer, Some(Layer::Left { .. })));
    room.key(key!(shift - x));
    assert!(room.screen().contains("Recover deploy shop"), "{}", room.screen());
    room.wait();
    let effects = room.key(key!(y));
    assert!(matches!(&effects[..], [Effect::Recover(_, run)] if *run == deploy(2).id));
}
