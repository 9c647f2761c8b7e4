//! The position of every pane, from the terminal size and the preferences; used by `update` (page sizes) and by drawing.
//! A pure function; draws nothing.

use super::place::PaneId;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    pub width: u16,
    pub height: u16,
}

/// Columns and rows from the upper left corner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Area {
    pub x: u16,
    pub y: u16,
    pub width: u16,
    pub height: u16,
}

/// The position of a pane; a single pane has no title row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    pub pane: PaneId,
    pub title: Option<Area>,
    pub body: Area,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    pub status: Area,
    pub slots: Vec<Slot>,
    /// The column between left and right.
    pub rule: Option<Area>,
    /// The newest unread notice.
    pub notice: Option<Area>,
    /// Keys, or the line being typed.
    pub keys: Area,
}

/// The sizes the panes request, and the focus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wishes {
    pub focus: PaneId,
    /// The focused pane alone, whatever the size.
    pub zoomed: bool,
    pub notice: bool,
    /// Columns of services and hosts, where there is room.
    pub left: u16,
    /// Rows, header included.
    pub hosts: u16,
    pub pipeline: u16,
    pub containers: u16,
}

/// From this width on panes are shown side by side.
const ROOM_WIDTH: u16 = 120;
const ROOM_HEIGHT: u16 = 24;
/// Services and hosts, with a blank before the rule.
const LEFT_WIDTH: u16 = 32;
const ROOMY_WIDTH: u16 = 150;
const ROOMY_LEFT_WIDTH: u16 = 38;
const WIDEST_LEFT: u16 = 58;

impl Layout {
    #[must_use]
    pub fn new(size: Size, wishes: Wishes) -> Self {
        let row = |y: u16| Area {
            x: 0,
            y,
            width: size.width,
            height: u16::from(y < size.height),
        };
        let last = size.height.saturating_sub(1);
        let notice = (wishes.notice && size.height >= 4).then(|| row(last - 1));
        let body = Area {
            x: 0,
            y: 1,
            width: size.width,
            height: size
                .height
                .saturating_sub(2)
                .saturating_sub(u16::from(notice.is_some())),
        };
        let (slots, rule) = if is_room(size, wishes.focus, wishes.zoomed) {
            room(body, wishes)
        } else {
            (vec![alone(wishes.focus, body)], None)
        };
        Self {
            status: row(0),
            slots,
            rule,
            notice,
            keys: row(last),
        }
    }

    #[must_use]
    pub fn slot(&self, pane: PaneId) -> Option<&Slot> {
        self.slots.iter().find(|slot| slot.pane == pane)
    }
}

/// Are several panes side by side?
#[must_use]
pub fn is_room(size: Size, focus: PaneId, zoomed: bool) -> bool {
    let together = match focus {
        PaneId::Services | PaneId::Containers | PaneId::Hosts | PaneId::Pipeline | PaneId::Logs => true,
        PaneId::Problems | PaneId::Runs | PaneId::Detail | PaneId::Plan => false,
    };
    together && !zoomed && size.width >= ROOM_WIDTH && size.height >= ROOM_HEIGHT
}

fn alone(pane: PaneId, body: Area) -> Slot {
    Slot {
        pane,
        title: None,
        body,
    }
}

/// Left: services and hosts; right: pipeline, containers and logs of the selection.
fn room(body: Area, wishes: Wishes) -> (Vec<Slot>, Option<Area>) {
    let all = if body.width >= ROOMY_WIDTH {
        // The names are read there; what is looked at has the greater part all the same.
        let most = (body.width / 10 * 3).clamp(ROOMY_LEFT_WIDTH, WIDEST_LEFT);
        (wishes.left + 1).clamp(ROOMY_LEFT_WIDTH, most)
    } else {
        LEFT_WIDTH
    };
    let left = Area {
        width: all - 1,
        ..body
    };
    let rule = Area {
        x: all,
        width: 1,
        ..body
    };
    let right = Area {
        x: all + 2,
        width: body.width.saturating_sub(all + 2),
        ..body
    };
    let hosts = (wishes.hosts + 2).min(left.height / 2);
    let (services, hosts) = split(left, left.height - hosts);
    let pipeline = match wishes.pipeline {
        0 => 0,
        // A run on some hosts is seen with all of them, and what it says below.
        wanted => (wanted + 2).min(right.height / 2),
    };
    let (pipeline, rest) = split(right, pipeline);
    let containers = (wishes.containers + 2).clamp(rest.height / 4, (rest.height * 3).div_ceil(5));
    let (containers, logs) = split(rest, containers);
    let slots = [
        (PaneId::Services, services),
        (PaneId::Hosts, hosts),
        (PaneId::Pipeline, pipeline),
        (PaneId::Containers, containers),
        (PaneId::Logs, logs),
    ];
    let titled = |(pane, area): (PaneId, Area)| (area.height > 1).then(|| with_title(pane, area));
    (slots.into_iter().filter_map(titled).collect(), Some(rule))
}

fn with_title(pane: PaneId, area: Area) -> Slot {
    let (title, body) = split(area, 1);
    Slot {
        pane,
        title: Some(title),
        body,
    }
}

/// The upper `height` rows, and the rest.
#[must_use]
pub fn split(area: Area, height: u16) -> (Area, Area) {
    let upper = height.min(area.height);
    let rest = Area {
        y: area.y + upper,
        height: area.height - upper,
        ..area
    };
    (
        Area {
            height: upper,
            ..area
        },
        rest,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wishes(focus: PaneId) -> Wishes {
        Wishes {
            focus,
            zoomed: false,
            notice: false,
            left: 30,
            hosts: 7,
            pipeline: 6,
            containers: 10,
        }
    }

    #[test]
    fn a_small_terminal_shows_one_pane_between_status_and_keys() {
        let size = Size {
            width: 80,
            height: 24,
        };
        let layout = Layout::new(size, wishes(PaneId::Containers));
        assert_eq!(layout.slots.len(), 1);
        assert_eq!(layout.slots[0].body.height, 22);
        assert_eq!(layout.keys.y, 23);
    }

    #[test]
    fn a_room_shows_five_panes_that_fill_it_without_overlap() {
        let size = Size {
            width: 160,
            height: 50,
        };
        let layout = Layout::new(size, wishes(PaneId::Services));
        let right: u16 = layout
            .slots
            .iter()
            .filter(|slot| slot.body.x > 0)
            .map(|slot| slot.body.height + 1)
            .sum();
        assert_eq!((layout.slots.len(), right), (5, 48));
    }

    #[test]
    fn the_left_is_as_wide_as_its_names_want_up_to_a_bound() {
        let left = |width, left| {
            let wishes = Wishes {
                left,
                ..wishes(PaneId::Services)
            };
            let layout = Layout::new(Size { width, height: 50 }, wishes);
            layout.rule.map(|rule| rule.x)
        };
        assert_eq!(left(160, 30), Some(38));
        assert_eq!(left(160, 45), Some(46));
        assert_eq!(left(160, 90), Some(48));
        assert_eq!(left(300, 90), Some(58));
        assert_eq!(left(120, 45), Some(32));
    }

    #[test]
    fn no_size_is_too_small_to_be_laid_out() {
        for (width, height) in [(0, 0), (1, 1), (3, 2), (40, 3), (300, 3)] {
            let layout = Layout::new(Size { width, height }, wishes(PaneId::Logs));
            assert!(
                layout
                    .slots
                    .iter()
                    .all(|slot| slot.body.y + slot.body.height <= height.max(1))
            );
        }
    }
}
