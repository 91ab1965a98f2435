//! `taskhost tenant`, without a server: the command has the store to itself.

use crate::harness::Place;

#[test]
fn tenants_are_made_looked_at_changed_and_kept_out() {
    let place = Place::new();
    let create = place.taskhost("tenant create anna --data data --weight 3 --cores 2 --scope jobs:read").run().code(0);
    let token = create.text().trim().to_owned();
    assert!(token.starts_with("th_"), "{token}");
    // It is kept nowhere, and shown no more.
    for name in place.files() {
        assert!(!place.text_lossy(&name).contains(&token[14..50]), "{name}");
    }
    place.taskhost("tenant create bert --data data").run().code(0);
    let list = place.taskhost("tenant list --data data").run().code(0);
    assert_eq!(list.text().lines().count(), 2);
    assert!(list.text().starts_with("anna  weight 3"), "{}", list.text());
    place.taskhost("tenant set anna --data data --queued-jobs 7").run().code(0);
    let show = place.taskhost("tenant show anna --data data").run().code(0);
    for line in ["cores               2", "queued jobs         7", "jobs:read", &token[3..13]] {
        assert!(show.text().contains(line), "{line}: {}", show.text());
    }
    place.taskhost("tenant disable anna --data data").run().code(0);
    let show = place.taskhost("tenant show anna --data data").run().code(0);
    assert!(show.text().starts_with("anna (disabled)"), "{}", show.text());
    let rotate = place.taskhost("tenant rotate anna --data data --expires 1h").run().code(0);
    assert_ne!(rotate.text().trim(), token);
    let show = place.taskhost("tenant show anna --data data").run().code(0);
    assert!(!show.text().contains(&token[3..13]), "{}", show.text());
    assert!(show.text().contains(&rotate.text()[3..13]) && show.text().contains("59 min left"), "{}", show.text());
}

#[test]
fn what_cannot_be_is_said() {
    let place = Place::new();
    // A name that is not quite right is told, and nothing is made of it.
    let nowhere = place.taskhost("tenant list --data dta").run().code(5);
    assert!(nowhere.stderr.contains("dta has no data of a service"), "{}", nowhere.stderr);
    assert!(!place.path("dta").exists());
    place.taskhost("tenant create first --data data").run().code(0);
    for (arguments, says) in [
        ("tenant show nobody --data data", "there is no tenant \"nobody\""),
        ("tenant create ../x --data data", "a name has at most 64"),
        ("tenant create x --data data --scope all", "is no scope"),
    ] {
        let outcome = place.taskhost(arguments).run().code(2);
        assert!(outcome.stderr.contains(says), "{}", outcome.stderr);
    }
    place.taskhost("tenant create anna --data data").run().code(0);
    assert!(place.taskhost("tenant create anna --data data").run().code(2).stderr.contains("already"));
    place.write("open/store.db", "");
    let outcome = place.taskhost("tenant list --data open").run().code(5);
    assert!(outcome.stderr.contains("chmod 700"), "{}", outcome.stderr);
}
