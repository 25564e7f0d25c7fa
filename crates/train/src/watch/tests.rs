//! The watchdog on made-up losses and gradients.

use super::{Alarm, Chance, Constant, NonFinite, Verdict, Watch, WatchOptions};

#[test]
fn updates_that_are_not_finite_are_left_out_until_there_are_too_many() {
    let options = WatchOptions {
        non_finite: NonFinite::Skip(2),
        ..WatchOptions::default()
    };
    let mut watch = Watch::default();
    let mut see = |loss, norm| watch.update(&options, 0, loss, norm);
    assert_eq!(
        see(1.0, f64::NAN),
        Verdict::Skip(Alarm::Gradient { in_a_row: 1 })
    );
    assert_eq!(
        see(f64::INFINITY, 1.0),
        Verdict::Skip(Alarm::Loss { in_a_row: 2 })
    );
    assert_eq!(see(1.0, 1.0), Verdict::Fine);
    for _ in 0..2 {
        assert!(matches!(see(f64::NAN, 1.0), Verdict::Skip(_)));
    }
    assert_eq!(
        see(f64::NAN, 1.0),
        Verdict::Alarm(Alarm::Loss { in_a_row: 3 })
    );
    let options = WatchOptions {
        non_finite: NonFinite::Stop,
        ..options
    };
    let verdict = Watch::default().update(&options, 0, f64::NAN, 1.0);
    assert_eq!(verdict, Verdict::Alarm(Alarm::Loss { in_a_row: 1 }));
}

#[test]
fn chance_is_judged_at_the_end_of_each_window() {
    let options = WatchOptions {
        chance: Some(Chance {
            loss: 0.7,
            margin: 0.05,
            after: 10,
        }),
        ..WatchOptions::default()
    };
    let run = |losses: &dyn Fn(u64) -> f64| {
        let mut watch = Watch::default();
        (0..40).find(|step| watch.update(&options, *step, losses(*step), 1.0) != Verdict::Fine)
    };
    assert_eq!(run(&|_| 0.69), Some(9));
    assert_eq!(run(&|step| if step % 10 < 5 { 0.7 } else { 0.6 }), None);
    // Learned, then forgotten.
    assert_eq!(run(&|step| if step < 20 { 0.3 } else { 0.7 }), Some(29));
}

#[test]
fn a_single_long_gradient_is_no_explosion_three_are() {
    let options = WatchOptions::default();
    let mut watch = Watch::default();
    let mut see = |step, norm| watch.update(&options, step, 1.0, norm);
    for step in 0..30 {
        assert_eq!(see(step, 1.0 + (step % 3) as f64), Verdict::Fine);
    }
    assert_eq!(see(30, 1e5), Verdict::Fine);
    assert_eq!(see(31, 1.0), Verdict::Fine);
    assert_eq!(see(32, 1e5), Verdict::Fine);
    assert_eq!(see(33, 1e5), Verdict::Fine);
    let Verdict::Alarm(alarm @ Alarm::Explosion { .. }) = see(34, 1e5) else {
        panic!("no alarm");
    };
    assert!(alarm.to_string().contains("1.000e5"), "{alarm}");
    assert!(alarm.advice().contains("learning rate"));
}

#[test]
fn equal_predictions_in_two_evaluations() {
    let options = WatchOptions {
        constant: Some(Constant {
            metric: "most_frequent".to_owned(),
            evaluations: 2,
        }),
        ..WatchOptions::default()
    };
    let mut watch = Watch::default();
    let mut see = |step, share: f64| {
        let metrics = [("most_frequent".to_owned(), share)].into();
        watch.evaluation(&options, step, &metrics)
    };
    assert_eq!(
        [see(10, 1.0), see(20, 0.99), see(30, 1.0)],
        [None, None, None]
    );
    let alarm = Alarm::Constant {
        evaluations: 2,
        steps: 11,
    };
    assert_eq!(see(40, 1.0), Some(alarm));
}
