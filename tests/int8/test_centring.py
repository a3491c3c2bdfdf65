"""Centres go into norms behind changes of layout, into attention's values, and into biases behind graph convolutions: exactly.

Weights lie on INT8's grid, so that without the rounding of activations the INT8 graph gives what the float one does.
"""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from poseedge.arrays import AnyArray
from poseedge.graph.graph import Graph
from poseedge.graph.structure import leading_to_selection
from poseedge.int8.integer_products import with_integer_products
from poseedge.int8.placement import place
from poseedge.int8.quantize import quantize
from poseedge.int8.ranges import calibrate
from tests.support.graphs import make_graph
from tests.support.int8_stacks import HIDDEN, RNG, SAMPLES, WIDTH, node, of_kind, on_grid, outputs, quantized, stack
from tests.support.int8_stacks import without_activation_rounding as unrounded
from tests.support.networks import exported

HEADS, TOKENS = 2, 17
LAYERS = ("qkv", "q", "k", "v", "proj", "one", "two")
NORM = {name: RNG.normal(1, 0.3, WIDTH).astype(np.float32) for name in ("gain", "shift")}


def additions(graph: Graph) -> list[str]:
    """Return the additions that centre something for its rounding alone."""
    return [entry.name for entry in of_kind(graph, "Add") if entry.name.endswith("_center")]


def assert_exact(graph: Graph, keep: tuple[str, ...] = ()) -> Graph:
    """Return the INT8 form of ``graph``, which is the float one but for the rounding of activations."""
    result = quantized(graph, keep=keep)
    onnx.checker.check_model(result.proto, full_check=True)
    np.testing.assert_allclose(outputs(unrounded(result)), outputs(graph), rtol=1e-4, atol=1e-3)
    return result


def attention(joint: bool, biased: bool, behind_a_norm: bool = True) -> Graph:
    """Return attention of ``a`` between first and last layer: of one product, or of three of which values may lack a bias."""
    head = WIDTH // HEADS
    source = "n" if behind_a_norm else "a"
    norm = [node("LayerNormalization", ["a", "gain", "shift"], ["n"])] if behind_a_norm else []
    values: dict[str, AnyArray] = {"proj.weight": on_grid(WIDTH, WIDTH), "flat": np.array([1, TOKENS, WIDTH])}
    if joint:
        nodes = [
            node("MatMul", [source, "qkv.weight"], ["p"]),
            node("Add", ["p", "qkv.bias"], ["pb"]),
            node("Reshape", ["pb", "rows"], ["r"]),
            node("Transpose", ["r"], ["t"], perm=[1, 0, 2]),
            node("Split", ["t", "thirds"], ["q", "kk", "v"], axis=0),
            node("Transpose", ["kk"], ["k"], perm=[0, 2, 1]),
        ]
        values |= {"qkv.weight": on_grid(WIDTH, 3 * WIDTH) / 10, "qkv.bias": RNG.normal(size=3 * WIDTH).astype(np.float32)}
        values |= {"rows": np.array([TOKENS, 3 * HEADS, head]), "thirds": np.array([HEADS] * 3)}
        back = [1, 0, 2]
    else:
        nodes = []
        for part, turn in (("q", [0, 2, 1, 3]), ("k", [0, 2, 3, 1]), ("v", [0, 2, 1, 3])):
            product = f"{part}p" if biased or part == "q" else f"{part}b"
            nodes.append(node("MatMul", [source, f"{part}.weight"], [product]))
            nodes += [node("Add", [product, "first.bias"], [f"{part}b"])] if product.endswith("p") else []
            nodes.append(node("Reshape", [f"{part}b", "rows"], [f"{part}r"]))
            nodes.append(node("Transpose", [f"{part}r"], [part], perm=turn))
            values[f"{part}.weight"] = on_grid(WIDTH, WIDTH) / 3
        values["rows"] = np.array([1, TOKENS, HEADS, head])
        back = [0, 2, 1, 3]
    nodes += [
        node("MatMul", ["q", "k"], ["scores"]),
        node("Softmax", ["scores"], ["weights"]),
        node("MatMul", ["weights", "v"], ["mixed"]),
        node("Transpose", ["mixed"], ["joined"], perm=back),
        node("Reshape", ["joined", "flat"], ["m"]),
        node("MatMul", ["m", "proj.weight"], ["mp"]),
        node("Add", ["mp", "first.bias"], ["mb"]),
        node("Add", ["a", "mb"], ["b"]),
    ]
    return stack([*norm, *nodes], {**NORM, **values})


@pytest.mark.parametrize("behind_a_norm", [True, False])
@pytest.mark.parametrize(("joint", "biased"), [(True, True), (False, True), (False, False)], ids=["joint", "three", "no bias"])
def test_what_attention_mixes_is_centred_in_the_bias_of_the_values(joint: bool, biased: bool, behind_a_norm: bool) -> None:
    graph = attention(joint, biased, behind_a_norm)
    assert place(graph).tensors["m"] == ("m", "bias")
    result = assert_exact(graph)
    assert not [name for name in additions(result) if name.startswith("m_")]
    (quantizer,) = (entry for entry in of_kind(result, "QuantizeLinear") if entry.output[0] == "m_q")
    centred = np.concatenate([unrounded(result).evaluator([quantizer.input[0]])(sample[None])[0] for sample in SAMPLES])
    low, high = centred.min(axis=(0, 1)), centred.max(axis=(0, 1))
    half_a_step = float(result.value(quantizer.input[1]) or 0) / 2
    np.testing.assert_allclose((low + high) / 2, 0, atol=1.01 * half_a_step + 1e-4)


def test_values_in_float_without_a_bias_leave_the_centring_to_an_addition() -> None:
    graph = attention(joint=False, biased=False)
    assert place(graph, keep=["v"]).tensors["m"] == ("m", "add")
    assert place(attention(joint=False, biased=True), keep=["v"]).tensors["m"] == ("m", "bias")
    for biased in (True, False):
        assert_exact(attention(joint=False, biased=biased), keep=("v",))


def test_products_of_attention_that_round_their_factors_leave_the_values_as_they_are() -> None:
    graph = attention(joint=False, biased=True)
    assert place(graph, level="B").tensors["m"] == ("m", "add")
    placement = place(graph, level="B")
    found = outputs(quantize(graph, placement, calibrate(graph, placement, SAMPLES)))
    assert np.abs(found - outputs(graph)).mean() < 0.05 * np.abs(outputs(graph)).mean()


@pytest.mark.parametrize("dynamic", [False, True])
def test_integer_products_take_centred_values(dynamic: bool) -> None:
    graph = attention(joint=True, biased=True)
    result = with_integer_products(quantized(graph, migrate=0.5), dynamic)
    exact = outputs(graph)
    assert np.abs(outputs(result) - exact).mean() < 0.03 * np.abs(exact).mean()


def limbs(scaled: bool = True, shifted: bool = True, split: bool = False) -> Graph:
    """Return a norm of ``a (17, 32)`` whose rows layers read three by three, and that is scaled and shifted on another path."""
    norm = node("LayerNormalization", ["a", "gain", "shift"], ["n"])
    rows = [node("Gather", ["n", "places"], ["picked"], axis=1), node("Reshape", ["picked", "sides"], ["r"])]
    layers = [node("MatMul", ["r", "one.weight"], ["u"]), node("Add", ["u", "up.bias"], ["ub"])]
    ends = ["ub"]
    if split:
        rows.append(node("Split", ["r", "halves"], ["left", "right"], axis=-1))
        layers = [node("MatMul", ["left", "one.weight"], ["u"]), node("Add", ["u", "up.bias"], ["ub"])]
        layers += [node("MatMul", ["right", "two.weight"], ["w"]), node("Add", ["w", "up.bias"], ["wb"])]
        ends.append("wb")
    rest = [node("Mul", ["n", "factor"], ["nf"]) if scaled else node("Relu", ["n"], ["nf"])]
    rest.append(node("Add", ["nf", "term"], ["nt"]) if shifted else node("Relu", ["nf"], ["nt"]))
    means = [node("ReduceMean", [end], [f"{end}m"], axes=[1, 2], keepdims=1) for end in ends]
    sums = [node("Add", ["nt", "ubm"], ["s"]), node("Add", ["s", f"{ends[-1]}m"], ["b"])]
    columns = 2 * WIDTH // 2 if split else 2 * WIDTH
    constants: dict[str, AnyArray] = {
        "places": np.array([0, 3, 5, 7, 8, 16]),
        "sides": np.array([1, 3, 2 * WIDTH]),
        "halves": np.array([WIDTH, WIDTH]),
        "one.weight": on_grid(columns, HIDDEN),
        "two.weight": on_grid(columns, HIDDEN),
        "up.bias": RNG.normal(size=HIDDEN).astype(np.float32),
        **{name: RNG.normal(size=(TOKENS, WIDTH)).astype(np.float32) for name in ("factor", "term")},
    }
    return stack([norm, *rows, *layers, *rest, *means, *sums], {**NORM, **constants})


@pytest.mark.parametrize("migrate", [0.0, 0.7])
def test_norm_behind_whose_rows_layers_read_centres_them_and_its_other_reader_makes_up_for_it(migrate: float) -> None:
    graph = limbs()
    assert place(graph).tensors["r"] == ("r", "norm")
    result = quantized(graph, migrate=migrate)
    assert not additions(result)
    tolerance = 0.03 if migrate else 1e-3  # divided weights leave the grid
    np.testing.assert_allclose(outputs(unrounded(result)), outputs(graph), rtol=1e-4, atol=tolerance)
    scaled = [entry for entry in result.nodes if entry.output[0] == "nt"]
    assert len(scaled) == 1
    assert len(of_kind(result, "Add")) == len(of_kind(graph, "Add"))


def test_layers_that_split_the_rows_of_a_norm_are_centred_alike() -> None:
    graph = limbs(split=True)
    placement = place(graph)
    assert placement.tensors["left"] == ("left", "norm") == ("left", placement.tensors["right"][1])
    ranges = calibrate(graph, placement, SAMPLES, migrate=0.5)
    for name in ("offset", "divisor"):
        np.testing.assert_array_equal(getattr(ranges["left"], name), getattr(ranges["right"], name))
    assert ranges["left"].step != ranges["right"].step
    assert_exact(graph)


@pytest.mark.parametrize(("scaled", "shifted"), [(False, True), (True, False)])
def test_norm_that_something_reads_which_makes_up_for_nothing_keeps_its_bias(scaled: bool, shifted: bool) -> None:
    graph = limbs(scaled, shifted)
    assert place(graph).tensors["r"] == ("r", "add")
    assert_exact(graph)


def test_norm_is_not_divided_where_all_its_layers_lead_to_a_frame_selection() -> None:
    graph = exported("hot_mixste-f27", 17)
    placement = place(graph)
    kinds = {name: {placement.tensors[node.input[0]][1]} for name, node in placement.layers.items()}
    selecting = leading_to_selection(graph)
    behind = {name: node for name, node in placement.layers.items() if graph.maker(node.input[0], "LayerNormalization")}
    assert any(kinds[name] == {"norm"} for name in behind)
    assert all((kinds[name] == {"bias"}) == (node.output[0] in selecting) for name, node in behind.items())


def test_layer_kept_float_behind_a_norm_keeps_the_norm_as_it_is() -> None:
    graph = limbs(split=True)
    placement = place(graph, keep=["two"])
    assert placement.tensors["left"] == ("left", "add")
    assert_exact(graph, keep=("two",))


def convolution(batch: int | str = 1, behind_a_norm: bool = True, rows: int = TOKENS) -> Graph:
    """Return a modulated graph convolution: a product, a factor for each row, rows mixed by a constant, a bias."""
    nodes = [
        node("MatMul", ["x", "first.weight"], ["f"]),
        node("Relu", ["f"], ["a"]),
        *([node("LayerNormalization", ["a", "gain", "shift"], ["n"])] if behind_a_norm else []),
        node("MatMul", ["n" if behind_a_norm else "a", "one.weight"], ["p"]),
        node("Reshape", ["p", "pairs"], ["r"]),
        node("Mul", ["r", "factor"], ["m"]),
        node("Reshape", ["m", "flat"], ["t"]),
        node("MatMul", ["mixing", "t"], ["g"]),
        node("Add", ["g", "up.bias"], ["b"]),
        node("MatMul", ["b", "last.weight"], ["y"]),
    ]
    weights: dict[str, AnyArray] = {
        "first.weight": on_grid(WIDTH, WIDTH),
        "one.weight": on_grid(WIDTH, 2 * HIDDEN),
        "last.weight": on_grid(HIDDEN, 3),
        "pairs": np.array([-1, TOKENS, 2, HIDDEN]),
        "flat": np.array([-1, 2 * TOKENS, HIDDEN]),
        "factor": RNG.normal(size=(TOKENS, 1, HIDDEN)).astype(np.float32),
        "mixing": RNG.normal(size=(rows, 2 * TOKENS)).astype(np.float32),
        "up.bias": RNG.normal(size=HIDDEN).astype(np.float32),
        **(NORM if behind_a_norm else {}),
    }
    return make_graph(nodes, [batch, TOKENS, WIDTH], weights)


@pytest.mark.parametrize("behind_a_norm", [True, False])
def test_graph_convolution_compensates_in_its_bias_behind_the_mixing(behind_a_norm: bool) -> None:
    graph = convolution(behind_a_norm=behind_a_norm)
    result = assert_exact(graph)
    assert len(of_kind(result, "Add")) == len(of_kind(graph, "Add")) + (0 if behind_a_norm else 1)  # the one that centres
    (bias,) = (entry for entry in of_kind(result, "Add") if entry.output[0] == "b")
    assert result.stored[bias.input[1]].dims == [1, TOKENS, HIDDEN]


def test_graph_convolution_of_many_rows_gets_a_bias_for_all_of_them() -> None:
    graph = convolution(rows=WIDTH + 1)
    result = assert_exact(graph)
    (bias,) = (entry for entry in of_kind(result, "Add") if entry.output[0] == "b")
    assert result.stored[bias.input[1]].dims == [HIDDEN]
    assert len(of_kind(result, "Add")) == len(of_kind(graph, "Add")) + 1


def test_graph_convolution_of_a_free_batch_gets_a_bias_of_its_own() -> None:
    graph = convolution("batch")
    result = assert_exact(graph)
    two = np.concatenate([SAMPLES[:2]])
    np.testing.assert_allclose(unrounded(result).run(two), graph.run(two), rtol=1e-4, atol=1e-3)


def test_tensors_that_hold_something_else_are_called_something_else() -> None:
    for graph in (attention(True, True), attention(False, False), limbs(), convolution()):
        result = unrounded(quantized(graph))
        names = [name for name in graph.makers if name in result.makers]
        shown = [name for name in names if graph.maker(name, "LayerNormalization") is None and not waiting(result, name)]
        for name, before, after in zip(shown, *(form.evaluator(shown)(SAMPLES[:1]) for form in (graph, result)), strict=True):
            np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-3, err_msg=name)


def waiting(graph: Graph, name: str) -> bool:
    """Say whether ``name`` is a product that gets its bias next, where a correction is."""
    return graph.maker(name, "MatMul") is not None and graph.reader(name, "Add") is not None
