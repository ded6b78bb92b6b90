//! Trainings and networks as bytes: resumed to the bit, and nothing damaged or foreign is taken for one.

use std::collections::BTreeMap;

use crate::common::problem::Labels;
use crate::training::{bits, optimizers, plan, problem};
use flatmin::training::stored::{load_network, load_parameters, save_network};
use flatmin::{
    Activation, Adam, Batch, Error, Hyperparameters, Network, Optimizer, Order, Plan, Real, Sgd, Shape, State, Step,
    Training,
};
use safetensors::{Dtype, SafeTensors, serialize, tensor::TensorView};

#[test]
fn trainings_resume_to_the_bit() {
    fn check<T: Real>() {
        let problem = problem(Labels::Soft);
        let (data, plan) = (problem.instance::<T>(), plan(&problem, 8));
        let mut limited = 0;
        for which in 0..optimizers::<T>().len() {
            let optimizer = || optimizers::<T>().swap_remove(which);
            let mut whole = Training::new(plan, optimizer(), 7).expect("a training");
            whole.epoch(&data.batch(), Order::Shuffled).expect("an epoch");
            whole.record(0.5).expect("memory");
            whole.epoch(&data.batch(), Order::Shuffled).expect("an epoch");
            whole.record(0.25).expect("memory");
            let bytes = whole.save();
            assert_eq!(bytes, whole.save(), "the same training has the same bytes");
            let mut resumed = Training::load(plan, optimizer(), &bytes).expect("what was saved");
            assert_eq!(resumed.save(), bytes);
            for _ in 0..2 {
                let epoch = resumed.epoch(&data.batch(), Order::Shuffled).expect("an epoch");
                assert_eq!(epoch, whole.epoch(&data.batch(), Order::Shuffled).expect("an epoch"), "{which}");
            }
            assert_eq!((bits(resumed.theta()), bits(resumed.moments())), (bits(whole.theta()), bits(whole.moments())));
            assert_eq!((resumed.averages(), resumed.steps()), (whole.averages(), whole.steps()));
            assert_eq!((resumed.best(), resumed.epochs()), (whole.best(), 4));
            limited += usize::from(whole.averages().limit > 0.0);
        }
        assert_eq!(limited, 2, "sampled penalties with a limit");
    }
    check::<f32>();
    check::<f64>();
}

/// A training of six parameters, so that every bit can be tried.
fn small() -> (Plan, Vec<u8>) {
    let plan = Plan::new(Network::new(Shape::new(1, 1, 2).expect("sizes"), Activation::Tanh), 2).expect("a plan");
    let mut training = Training::<f32, _>::new(plan, Sgd::new(0.1).with_momentum(0.5), 1).expect("a training");
    training.record(1.0).expect("memory");
    (plan, training.save())
}

fn load_small(plan: Plan, bytes: &[u8]) -> Result<(), Error> {
    Training::<f32, _>::load(plan, Sgd::new(0.1).with_momentum(0.5), bytes).map(drop)
}

#[test]
fn every_damaged_bit_is_found() {
    let (plan, bytes) = small();
    assert_eq!(load_small(plan, &bytes), Ok(()));
    for place in 0..bytes.len() {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[place] ^= 1 << bit;
            assert!(load_small(plan, &damaged).is_err(), "bit {bit} of byte {place}: {:?}", bytes[place] as char);
        }
    }
    for len in 0..bytes.len() {
        let error = load_small(plan, &bytes[..len]).expect_err("a part");
        assert!(matches!(error, Error::Stored { part: "file", .. }), "{len}: {error}");
    }
    assert!(load_small(plan, &[&bytes[..], &[0]].concat()).is_err());
    let damaged = [&bytes[..bytes.len() - 1], &[bytes[bytes.len() - 1] ^ 1]].concat();
    let message = load_small(plan, &damaged).expect_err("damage").to_string();
    assert_eq!(message, "file: damaged: it has another checksum than when it was stored");
}

#[test]
fn what_does_not_fit_is_named() {
    let (plan, bytes) = small();
    let message = |result: Result<(), Error>| result.expect_err("another training").to_string();
    assert_eq!(
        message(Training::<f64, _>::load(plan, Sgd::new(0.1), &bytes).map(drop)),
        "0.weight: of another number type, F64 expected"
    );
    assert_eq!(
        message(Training::<f32, _>::load(plan, Sgd::new(0.1), &bytes).map(drop)),
        "training.moments: of an optimizer that has moments"
    );
    assert_eq!(
        message(Training::<f32, _>::load(plan, Adam::new(0.1), &bytes).map(drop)),
        "training.moments: length 6 given, 12 expected"
    );
    let gelu = Plan::new(Network::new(plan.shape(), Activation::Gelu), 2).expect("a plan");
    assert_eq!(message(load_small(gelu, &bytes)), "activation: not that of the plan");
    let wider = Plan::new(Network::new(Shape::new(1, 2, 2).expect("sizes"), Activation::Tanh), 2).expect("a plan");
    assert_eq!(message(load_small(wider, &bytes)), "stored network: 1-1-2 given, the plan is for 1-2-2");
    assert_eq!(message(load_small(plan, b"PK\x03\x04")), "file: not in the safetensors format, or cut off");

    // A network is no training.
    let network = save_network(plan.network(), &[0.5f32; 6]).expect("six parameters");
    assert_eq!(message(load_small(plan, &network)), "training.counts: missing");
    // A later version.
    let place = bytes.windows(7).position(|window| window == b"2 tanh ").expect("the version");
    let later = [&bytes[..place], b"3", &bytes[place + 1..]].concat();
    assert_eq!(message(load_small(plan, &later)), "version: unknown to this flatmin, expected 2");
}

/// A tensor: its type, its shape and its bytes.
type Tensor = (Dtype, Vec<usize>, Vec<u8>);

/// The same file of another version, with tensors changed: as a library would write it that had these numbers.
fn rewritten(bytes: &[u8], version: &str, change: impl FnOnce(&mut BTreeMap<String, Tensor>)) -> Vec<u8> {
    let file = SafeTensors::deserialize(bytes).expect("what was saved");
    let read =
        |(name, view): (String, TensorView<'_>)| (name, (view.dtype(), view.shape().to_vec(), view.data().to_vec()));
    let mut tensors: BTreeMap<String, Tensor> = file.tensors().into_iter().map(read).collect();
    change(&mut tensors);
    // FNV-1a, as the module's page says.
    let mut text = b"tanh".to_vec();
    for (name, (_, shape, data)) in &tensors {
        text.extend_from_slice(name.as_bytes());
        text.extend(shape.iter().flat_map(|&length| (length as u64).to_le_bytes()));
        text.extend_from_slice(data);
    }
    let add = |sum: u64, &byte: &u8| (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3);
    let checksum = text.iter().fold(0xCBF2_9CE4_8422_2325, add);
    let metadata = [("flatmin".to_string(), format!("{version} tanh {checksum:016x}"))].into_iter().collect();
    let views = tensors.iter().map(|(name, (dtype, shape, data))| {
        (name, TensorView::new(*dtype, shape.clone(), data).expect("a shape of as many bytes"))
    });
    serialize(views, Some(metadata)).expect("tensors")
}

/// As version 1 had it: averages of the two traces, and all else the same.
fn of_version_1(bytes: &[u8]) -> Vec<u8> {
    rewritten(bytes, "1", |tensors| {
        let (_, shape, data) = tensors.get_mut("training.averages").expect("averages");
        *shape = vec![2];
        data.truncate(16);
    })
}

/// A training of an older version cannot go on to the bit. Its network is what it was.
#[test]
fn of_an_older_training_the_network_is_loaded() {
    let (plan, bytes) = small();
    assert_eq!(rewritten(&bytes, "2", |_| {}), bytes);
    let old = of_version_1(&bytes);
    assert_eq!(
        load_small(plan, &old).expect_err("an older version").to_string(),
        "version: 1, of an older flatmin, expected 2: this training cannot go on, its network can be loaded"
    );
    assert_eq!(load_network::<f32>(&old), load_network(&bytes));
    assert_eq!(load_parameters::<f32>(&old), load_parameters(&bytes));
    let network = save_network(plan.network(), &[0.5f32; 6]).expect("six parameters");
    let old_network = rewritten(&network, "1", |_| {});
    assert_eq!(load_network(&old_network), Ok((plan.network(), vec![0.5f32; 6])));
    // Damage is found in it, too.
    for bytes in [old, old_network] {
        let last = bytes.len() - 1;
        let damaged = [&bytes[..last], &[bytes[last] ^ 1]].concat();
        assert!(matches!(load_network::<f32>(&damaged), Err(Error::Stored { part: "file", .. })));
    }
}

/// The checksum of a file does not say that its numbers can be.
#[test]
fn averages_that_cannot_be_are_refused() {
    let (plan, bytes) = small();
    let with = |count: u64, index: usize, average: f64| {
        let bytes = rewritten(&bytes, "2", |tensors| {
            let averages = &mut tensors.get_mut("training.averages").expect("averages").2;
            averages[8 * index..][..8].copy_from_slice(&average.to_le_bytes());
            tensors.get_mut("training.counts").expect("counts").2[8..16].copy_from_slice(&count.to_le_bytes());
        });
        load_small(plan, &bytes)
    };
    for index in 0..5 {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(with(1, index, bad), Err(Error::NotFinite { argument: "averages", index }));
            // Of no estimate, they are not read.
            assert_eq!(with(0, index, bad), Ok(()));
        }
    }
    for (index, argument) in [(2, "average limit"), (3, "average whole"), (4, "average limited")] {
        let refused = with(1, index, -0.5);
        assert!(matches!(refused, Err(Error::Hyperparameter { argument: a, given: -0.5, .. }) if a == argument));
    }
    assert_eq!([0, 1].map(|index| with(1, index, -0.5)), [Ok(()), Ok(())]);
}

#[test]
fn networks_are_stored() {
    fn check<T: Real>() {
        for (which, activation) in Activation::ALL.into_iter().enumerate() {
            let network = Network::new(Shape::new(3, 4, 2 + which).expect("sizes"), activation);
            let mut theta = vec![T::ZERO; network.shape.parameters()];
            network.initialize(&mut theta, which as u64).expect("a length of P");
            let bytes = save_network(network, &theta).expect("a length of P");
            assert_eq!(load_network(&bytes), Ok((network, theta)));
            assert!(matches!(save_network(network, &[T::ZERO; 3]), Err(Error::Length { argument: "theta", .. })));
        }
    }
    check::<f32>();
    check::<f64>();
    let (plan, bytes) = small();
    let (network, theta) = load_network::<f32>(&bytes).expect("a training is a network");
    assert_eq!((network, theta.len()), (plan.network(), plan.shape().parameters()));
}

/// A file of numbers in f32, as others write them: no metadata, tensors in any order.
fn foreign(tensors: &[(&str, &[usize], &[f32])]) -> Vec<u8> {
    let (mut entries, mut data) = (Vec::new(), Vec::new());
    for (name, shape, numbers) in tensors {
        let start = data.len();
        data.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
        let end = data.len();
        entries.push(format!(r#""{name}":{{"dtype":"F32","shape":{shape:?},"data_offsets":[{start},{end}]}}"#));
    }
    let header = format!("{{{}}}", entries.join(","));
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &data].concat()
}

#[test]
fn files_of_others_are_read() {
    let tensors: [(&str, &[usize], &[f32]); 4] = [
        ("2.bias", &[2], &[9.0, 10.0]),
        ("0.weight", &[1, 3], &[1.0, 2.0, 3.0]),
        ("2.weight", &[2, 1], &[7.0, 8.0]),
        ("0.bias", &[1], &[4.0]),
    ];
    let bytes = foreign(&tensors);
    let expected = (Shape::new(3, 1, 2).expect("sizes"), vec![1.0f32, 2.0, 3.0, 4.0, 7.0, 8.0, 9.0, 10.0]);
    assert_eq!(load_parameters(&bytes), Ok(expected));
    let message = |bytes: &[u8]| load_parameters::<f32>(bytes).expect_err("no network").to_string();
    assert_eq!(
        load_network::<f32>(&bytes).expect_err("no activation").to_string(),
        "flatmin: missing from the metadata"
    );
    for (missing, (name, ..)) in tensors.iter().enumerate() {
        let rest: Vec<_> = tensors.iter().enumerate().filter(|(i, _)| *i != missing).map(|(_, t)| *t).collect();
        assert_eq!(message(&foreign(&rest)), format!("{name}: missing"));
    }
    let with = |place: usize, tensor: (&'static str, &'static [usize], &'static [f32])| {
        let mut changed = tensors;
        changed[place] = tensor;
        foreign(&changed)
    };
    assert_eq!(message(&with(1, ("0.weight", &[3], &[1.0, 2.0, 3.0]))), "0.weight: no matrix");
    assert_eq!(message(&with(2, ("2.weight", &[1, 2], &[7.0, 8.0]))), "2.weight: 1×2 given, 1×1 expected");
    assert_eq!(message(&with(3, ("0.bias", &[2], &[4.0, 5.0]))), "0.bias: length 2 given, 1 expected");
    assert_eq!(message(&with(3, ("0.bias", &[1], &[f32::NAN]))), "0.bias: entry 0 is NaN or infinite");
    assert_eq!(
        load_parameters::<f64>(&bytes).expect_err("f32").to_string(),
        "0.weight: of another number type, F64 expected"
    );
}

/// An optimizer of the caller's, whose moments are no vectors laid out like θ.
#[derive(Clone, Copy)]
struct Counter;

impl Hyperparameters for Counter {
    fn learning_rate(&self) -> f64 {
        1.0
    }

    fn set_learning_rate(&mut self, _: f64) {}

    fn moments_len(&self, _: Shape) -> usize {
        3
    }

    fn workspace_len(&self, _: &Plan) -> flatmin::Result<usize> {
        Ok(0)
    }
}

impl<T: Real> Optimizer<T> for Counter {
    fn check(&self, _: &Plan, _: &State<'_, T>) -> flatmin::Result<()> {
        Ok(())
    }

    fn step(
        &self,
        _: &Plan,
        _: &mut [T],
        _: &Batch<'_, T>,
        state: &mut State<'_, T>,
        _: &mut [T],
    ) -> flatmin::Result<Step> {
        state.moments[2] += T::ONE;
        Ok(Step { loss: 0.0, curvature: None, estimate: None })
    }

    fn update(&self, _: &Plan, _: &mut [T], _: &mut [T], _: &mut State<'_, T>) -> flatmin::Result<()> {
        Ok(())
    }
}

#[test]
fn moments_of_any_length_are_stored() {
    let problem = problem(Labels::Hard);
    let (data, plan) = (problem.instance::<f64>(), plan(&problem, 8));
    let mut training = Training::new(plan, Counter, 1).expect("a training");
    training.epoch(&data.batch(), Order::AsGiven).expect("an epoch");
    let resumed = Training::<f64, _>::load(plan, Counter, &training.save()).expect("what was saved");
    assert_eq!(resumed.moments(), [0.0, 0.0, 3.0]);
}
