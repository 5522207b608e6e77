from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import neurenix
from neurenix import Tensor, models, nn
from neurenix.errors import DTypeError, ShapeError
from neurenix.models import Bert, BertConfig, BertConfigError

SMALL = BertConfig(
    vocab_size=50,
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=24,
    max_position_embeddings=12,
    initializer_range=0.5,  # large, so that tokens tell in the result
)
IDS = Tensor([[2, 7, 9, 3, 0, 0], [2, 8, 3, 0, 0, 0], [2, 5, 6, 7, 8, 3]])


@pytest.fixture(autouse=True)
def _untaped() -> Iterator[None]:
    """Most tests look at values; those of gradients say so."""
    with neurenix.no_grad():
        yield


@pytest.fixture
def model() -> Bert:
    neurenix.manual_seed(0)
    return Bert(SMALL).eval()


def expected_names(config: BertConfig) -> list[str]:
    """The keys of Hugging Face's BertModel, without its pooler."""
    names = [f"embeddings.{each}_embeddings.weight" for each in ("word", "position", "token_type")]
    layers = ["embeddings.LayerNorm"]
    for number in range(config.num_hidden_layers):
        parts = ["attention.self.query", "attention.self.key", "attention.self.value"]
        parts += ["attention.output.dense", "attention.output.LayerNorm", "intermediate.dense"]
        parts += ["output.dense", "output.LayerNorm"]
        layers += [f"encoder.layer.{number}.{part}" for part in parts]
    return names + [f"{layer}.{each}" for layer in layers for each in ("weight", "bias")]


def test_the_state_dict_has_hugging_faces_names(model: Bert) -> None:
    assert set(model.state_dict()) == set(expected_names(SMALL))
    pooled = Bert(SMALL, pooling="pooler").state_dict()
    assert set(pooled) - set(model.state_dict()) == {"pooler.dense.weight", "pooler.dense.bias"}


@pytest.mark.parametrize(
    ("config", "parameters"),
    [
        (BertConfig(), 109_482_240 - 590_592),  # BERT-base, uncased, less its pooler
        (
            BertConfig(
                hidden_size=384,
                num_hidden_layers=6,
                num_attention_heads=12,
                intermediate_size=1536,
            ),
            22_713_216 - 147_840,  # MiniLM-L6
        ),
    ],
    ids=["bert-base", "minilm-l6"],
)
def test_the_published_shapes_have_the_published_sizes(config: BertConfig, parameters: int) -> None:
    with nn.init.skip():
        model = Bert(config)
    assert sum(param.size for param in model.parameters()) == parameters


def test_new_layers_see_one_vector_a_text(model: Bert) -> None:
    assert model.head is None
    assert model.num_features == 16
    assert model(IDS).shape == (3, 16)
    assert model.forward_features(IDS).shape == (3, 6, 16)


def test_the_mask_is_where_there_is_another_token_than_padding(model: Bert) -> None:
    mask = model.attention_mask(IDS)
    np.testing.assert_array_equal(mask.numpy(), IDS.numpy() != 0)
    for given in (mask, mask.astype(neurenix.int64), mask.astype(neurenix.float32)):
        assert model(IDS, given).tolist() == model(IDS).tolist()
    everything = neurenix.ones(IDS.shape, dtype=neurenix.int64)
    assert not np.allclose(model(IDS, everything).numpy(), model(IDS).numpy())


def test_padding_changes_nothing_but_rounding(model: Bert) -> None:
    together, tokens = model(IDS), model.forward_features(IDS)
    for row, length in enumerate((4, 3, 6)):
        alone = IDS[row : row + 1, :length]
        np.testing.assert_allclose(model(alone)[0].numpy(), together[row].numpy(), atol=1e-5)
        np.testing.assert_allclose(
            model.forward_features(alone)[0].numpy(), tokens[row, :length].numpy(), atol=1e-5
        )


def test_a_text_alone_gives_the_same_bits_whatever_was_computed_before(model: Bert) -> None:
    rows = [model(IDS[row : row + 1]).numpy().tobytes() for row in (0, 1, 2)]
    assert [model(IDS[row : row + 1]).numpy().tobytes() for row in (2, 0, 1)] == [
        rows[2],
        rows[0],
        rows[1],
    ]


def test_the_order_of_tokens_counts(model: Bert) -> None:
    swapped = Tensor([[2, 9, 7, 3]])
    assert not np.allclose(model(IDS[:1, :4]).numpy(), model(swapped).numpy(), atol=1e-3)


def test_token_types_count(model: Bert) -> None:
    types = neurenix.zeros(IDS.shape, dtype=neurenix.int64)
    np.testing.assert_allclose(
        model(IDS, token_type_ids=types).numpy(), model(IDS).numpy(), atol=1e-5
    )
    types[:, 2:] = 1
    assert not np.allclose(model(IDS, token_type_ids=types).numpy(), model(IDS).numpy(), atol=1e-3)
    with pytest.raises(ShapeError, match=r"token_type_ids are shaped as the ids, \(3, 6\)"):
        model(IDS, token_type_ids=types[:, :4])


def test_pooling_by_the_mean_of_the_text_its_first_token_or_the_pooler(model: Bert) -> None:
    tokens = model.forward_features(IDS).numpy()
    mean = [tokens[row, :length].mean(axis=0) for row, length in enumerate((4, 3, 6))]
    np.testing.assert_allclose(model(IDS).numpy(), mean, atol=1e-6)
    np.testing.assert_allclose(
        model.forward_head(Tensor(tokens)).numpy(), tokens.mean(axis=1), atol=1e-6
    )
    pooled = Bert(SMALL, pooling="pooler").eval()
    pooled.load_state_dict({**pooled.state_dict(), **model.state_dict()})
    assert pooled.pooler is not None
    weight, bias = (param.numpy() for param in pooled.pooler.dense.parameters())
    np.testing.assert_allclose(
        pooled(IDS).numpy(), np.tanh(tokens[:, 0] @ weight.T + bias), atol=1e-5
    )
    model.pooling = "cls"
    np.testing.assert_array_equal(model(IDS).numpy(), tokens[:, 0])
    with pytest.raises(ValueError, match="'mean', 'cls', 'pooler', not 'max'"):
        Bert(SMALL, pooling="max")  # type: ignore[arg-type]


def test_a_row_of_padding_alone_gives_zeros(model: Bert) -> None:
    assert not model(neurenix.zeros((2, 4), dtype=neurenix.int64)).numpy().any()


def test_dropout_acts_in_training_where_bert_has_it(model: Bert) -> None:
    dropped = [name for name, each in model.named_modules() if isinstance(each, nn.Dropout)]
    parts = ("attention.self", "attention.output", "output")
    assert dropped == ["embeddings.dropout"] + [
        f"encoder.layer.{number}.{part}.dropout" for number in (0, 1) for part in parts
    ]
    calm = model(IDS).numpy()
    for name in dropped:
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        chosen = model.get_submodule(name)
        assert isinstance(chosen, nn.Dropout)
        chosen.p = 0.5
        model.train()
        assert not np.allclose(model(IDS).numpy(), calm, atol=1e-4), name
        model.eval()
        np.testing.assert_array_equal(model(IDS).numpy(), calm)


def test_a_frozen_model_draws_nothing_in_training(model: Bert) -> None:
    calm = model(IDS).numpy()
    model.when_frozen = "eval"
    for param in model.parameters():
        param.requires_grad = False
    model.train()
    np.testing.assert_array_equal(model(IDS).numpy(), calm)
    for param in model.encoder.layer[1].parameters():
        param.requires_grad = True
    assert not np.allclose(model(IDS).numpy(), calm, atol=1e-4)
    inner = model.encoder.layer[0](model.embeddings(IDS), None)
    np.testing.assert_array_equal(
        inner.numpy(), model.encoder.layer[0](model.embeddings(IDS), None).numpy()
    )


def test_gradients_reach_every_parameter_and_agree_with_differences() -> None:
    neurenix.manual_seed(1)
    model = Bert(SMALL).to(neurenix.float64).eval()
    types = neurenix.zeros(IDS.shape, dtype=neurenix.int64)
    types[:, 1:3] = 1

    def loss() -> Tensor:
        out = model(IDS, token_type_ids=types)
        return (out * out * neurenix.arange(16)).sum()

    with neurenix.enable_grad():
        loss().backward()
    generator = np.random.default_rng(0)
    for name, param in model.named_parameters():
        assert param.grad is not None, name
        direction = Tensor(generator.normal(size=param.shape))
        slope = (param.grad * direction).sum().item()
        step = 1e-6
        start = param.clone()
        param.copy_(start + direction * step)
        above = loss().item()
        param.copy_(start - direction * step)
        below = loss().item()
        param.copy_(start)
        assert slope == pytest.approx((above - below) / (2 * step), rel=1e-4, abs=1e-4), name


def test_it_learns(model: Bert) -> None:
    model.train()
    head = nn.Linear(16, 2)
    optimizer = neurenix.optim.AdamW([*model.parameters(), *head.parameters()], lr=3e-3)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        with neurenix.enable_grad():
            loss = nn.functional.cross_entropy(head(model(IDS)), Tensor([0, 1, 0]))
            loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]


@pytest.mark.parametrize("hidden_act", ["gelu", "gelu_new", "relu", "silu", "tanh"])
def test_activations_by_their_name(hidden_act: str) -> None:
    neurenix.manual_seed(0)
    config = BertConfig.from_dict({**SMALL.to_dict(), "hidden_act": hidden_act})
    outs = [Bert(config).eval()(IDS).numpy()]
    neurenix.manual_seed(0)
    outs.append(Bert(SMALL).eval()(IDS).numpy())
    assert np.array_equal(*outs) == (hidden_act == "gelu")


def test_new_weights_are_drawn_as_bert_does(model: Bert) -> None:
    neurenix.manual_seed(3)
    first = Bert(SMALL)
    state = first.state_dict()
    assert not state["embeddings.word_embeddings.weight"][0].numpy().any()
    assert np.std(state["embeddings.word_embeddings.weight"].numpy()[1:]) == pytest.approx(
        0.5, rel=0.1
    )
    assert not state["encoder.layer.0.output.dense.bias"].numpy().any()
    assert (state["encoder.layer.1.output.LayerNorm.weight"].numpy() == 1).all()
    neurenix.manual_seed(3)
    again = Bert(SMALL).state_dict()
    assert all(np.array_equal(state[name].numpy(), again[name].numpy()) for name in state)


@pytest.mark.parametrize(
    ("ids", "error", "message"),
    [
        (neurenix.zeros((2, 4)), DTypeError, "takes token ids.*got float32.*Tokenizer"),
        (Tensor([1, 2]), ShapeError, r"\(N, T\), one row a text; got \(2,\)"),
        (neurenix.ones((1, 13), dtype=neurenix.int64), ShapeError, "1 to 12 tokens.*got 13"),
        (neurenix.ones((1, 0), dtype=neurenix.int64), ShapeError, "1 to 12 tokens.*got 0"),
        (Tensor([[50]]), IndexError, "50"),
    ],
)
def test_wrong_inputs_are_named(model: Bert, ids: Tensor, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        model(ids)


def test_a_mask_of_another_shape_is_an_error(model: Bert) -> None:
    with pytest.raises(ShapeError, match=r"attention_mask is shaped as the ids, \(3, 6\); got"):
        model(IDS, neurenix.ones((3, 4), dtype=neurenix.int64))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model_type": "roberta"}, "is of model_type 'roberta'; supported is 'bert'"),
        ({"model_type": None}, "names no model_type"),
        ({"position_embedding_type": "relative_key"}, "'relative_key' .*relative positions"),
        ({"add_cross_attention": True}, "cross attention is not supported"),
        ({"is_decoder": True}, "has is_decoder"),
        ({"quantization_config": {"bits": 8}}, "quantization_config"),
        ({"hidden_act": "mish"}, "hidden_act 'mish' is not supported; supported are gelu"),
        ({"num_attention_heads": 5}, "hidden_size 16 cannot be divided among 5"),
        ({"hidden_size": "16"}, "hidden_size is a whole number of at least 1, not '16'"),
        ({"hidden_dropout_prob": 1.5}, "hidden_dropout_prob is a number from 0 to 1"),
        ({"pad_token_id": 50}, "pad_token_id is a token from 0 to 49, not 50"),
        ({"layer_norm_eps": -1}, "layer_norm_eps is a number of at least 0"),
    ],
)
def test_configurations_that_are_not_supported_are_named(
    fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(BertConfigError, match=message):
        BertConfig.from_dict({**SMALL.to_dict(), **fields}, "config.json")


def test_a_configuration_survives_a_round_trip_and_ignores_what_is_not_its_own() -> None:
    values = {**SMALL.to_dict(), "id2label": {"0": "x"}, "pad_token_id": None, "torch_dtype": "x"}
    assert BertConfig.from_dict(values) == SMALL


def test_it_is_registered() -> None:
    assert "bert" in models.names()
    model = models.create("bert", config=SMALL.to_dict())
    assert isinstance(model, Bert)
    assert model.weights is None
    assert model.config == SMALL
