//! Stored networks and trainings: bytes of any kind never panic. What is accepted is consistent, finite, and stored again as what was read. A
//! damaged training is refused, or read as the undamaged one.
#![no_main]

use arbitrary::{Arbitrary, Result, Unstructured};
use flatmin::training::stored::{load_network, load_parameters, save_network};
use flatmin::{Activation, Network, Plan, Real, Sgd, Shape, Training};
use libfuzzer_sys::fuzz_target;

const SGD: Sgd = Sgd::new(0.1).with_momentum(0.5);

/// A training that is worth storing: moments, a best score, odd sizes.
fn training() -> Training<f32, Sgd> {
    let network = Network::new(Shape::new(2, 3, 2).expect("sizes"), Activation::Silu);
    let mut training = Training::new(Plan::new(network, 4).expect("a plan"), SGD, 7).expect("a training");
    training.record(0.5).expect("memory");
    training
}

/// A change of a file.
#[derive(Arbitrary, Debug)]
enum Damage {
    Flip { place: u16, bits: u8 },
    Insert { place: u16, byte: u8 },
    Remove { place: u16 },
    Cut { len: u16 },
}

fn damaged(bytes: &mut Unstructured<'_>) -> Result<()> {
    let training = training();
    let saved = training.save();
    let mut file = saved.clone();
    for damage in Vec::<Damage>::arbitrary(bytes)? {
        let len = file.len().max(1);
        match damage {
            Damage::Flip { place, bits } => {
                file.iter_mut().nth(usize::from(place) % len).into_iter().for_each(|byte| *byte ^= bits)
            }
            Damage::Insert { place, byte } => file.insert(usize::from(place) % (file.len() + 1), byte),
            Damage::Remove { place } if !file.is_empty() => drop(file.remove(usize::from(place) % len)),
            Damage::Remove { .. } => {}
            Damage::Cut { len } => file.truncate(len.into()),
        }
    }
    if let Ok(read) = Training::<f32, _>::load(*training.plan(), SGD, &file) {
        assert!(read.save() == saved, "another training");
    }
    any::<f32>(&file);
    Ok(())
}

/// Reads bytes in every way.
fn any<T: Real>(file: &[u8]) {
    if let Ok((shape, theta)) = load_parameters::<T>(file) {
        assert_eq!(theta.len(), shape.parameters());
        assert!(theta.iter().all(|entry| entry.is_finite()));
    }
    let Ok((network, theta)) = load_network::<T>(file) else { return };
    let again = save_network(network, &theta).expect("what was read");
    assert!(load_network::<T>(&again) == Ok((network, theta)), "another network");
    // A plan for one sample: a file may name any sizes.
    let Ok(plan) = Plan::new(network, 1) else { return };
    if let Ok(training) = Training::<T, _>::load(plan, SGD, file) {
        let saved = training.save();
        let resumed = Training::<T, _>::load(plan, SGD, &saved).expect("what was saved");
        assert!(resumed.save() == saved, "another training");
    }
}

fuzz_target!(|bytes: &[u8]| {
    any::<f32>(bytes);
    any::<f64>(bytes);
    let _ = damaged(&mut Unstructured::new(bytes));
});
