"""Temperature scaling, reliability, and measuring models from Python."""

from __future__ import annotations

import numpy as np
import pytest

import neurenix
from neurenix import nn
from neurenix.data import Dataset
from neurenix.transfer import DataError, Evaluation, LabelError, calibrate, evaluate
from neurenix_transfer.insight.reliability import expected_calibration_error, reliability
from neurenix_transfer.insight.temperature import fit_temperature, softmax


def overconfident(samples: int = 4000, factor: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    """Draw logits, and labels as likely as a third of them says."""
    rng = np.random.default_rng(0)
    honest = rng.normal(scale=2, size=(samples, 4))
    shares = softmax(honest)
    labels = (shares.cumsum(axis=1) < rng.random((samples, 1))).sum(axis=1)
    return (factor * honest).astype(np.float32), labels


class TestTemperature:
    def test_finds_how_much_too_large_logits_are(self) -> None:
        logits, labels = overconfident()
        found = fit_temperature(logits, labels)
        assert found.temperature == pytest.approx(3.0, rel=0.06)
        assert found.loss_after < found.loss_before
        assert found.error_after < 0.03 < 0.1 < found.error_before
        assert f"temperature {found.temperature:.3f}" in found.line()

    def test_is_the_minimum_of_the_loss(self) -> None:
        logits, labels = overconfident(300)
        best = fit_temperature(logits, labels)

        def loss(temperature: float) -> float:
            chosen = softmax(logits, temperature)[np.arange(300), labels]
            return float(-np.log(chosen).mean())

        assert best.loss_after == pytest.approx(loss(best.temperature))
        for nearby in (0.999, 1.001):
            assert loss(best.temperature) < loss(nearby * best.temperature)

    @pytest.mark.parametrize("temperature", [0.1, 0.7, 1.0, 3.0, 10.0])
    def test_never_changes_the_most_probable_class(self, temperature: float) -> None:
        rng = np.random.default_rng(1)
        logits = rng.normal(scale=20, size=(5000, 3)).astype(np.float32)
        # Pairs that differ in the last bit only.
        logits[::2, 1] = np.nextafter(logits[::2, 0], np.float32(np.inf))
        probabilities = softmax(logits, temperature)
        assert (probabilities.argmax(axis=1) == logits.argmax(axis=1)).all()
        np.testing.assert_allclose(probabilities.sum(axis=1), 1)

    def test_samples_that_are_all_right_tell_nothing(self) -> None:
        found = fit_temperature(np.array([[2.0, 0.0], [0.0, 1.0]]), np.array([0, 1]))
        assert found.temperature == 1.0
        assert "every sample is right" in found.line()
        assert found.record()["temperature"] == 1.0

    def test_samples_that_are_all_wrong_have_no_temperature(self) -> None:
        found = fit_temperature(np.array([[2.0, 0.0], [0.0, 1.0]]), np.array([1, 0]))
        assert found.temperature == 1.0
        assert "above 10" in found.note

    def test_equal_logits_stay_as_they_are(self) -> None:
        found = fit_temperature(np.zeros((6, 3)), np.array([0, 1, 2, 0, 1, 2]))
        assert (found.temperature, found.note) == (1.0, "")

    def test_what_cannot_be_calibrated(self) -> None:
        with pytest.raises(ValueError, match="finite"):
            fit_temperature(np.array([[np.nan, 0.0]]), np.array([0]))
        with pytest.raises(ValueError, match=r"\(0, 2\)"):
            fit_temperature(np.zeros((0, 2)), np.zeros(0, int))

    def test_of_a_model(self) -> None:
        logits, labels = overconfident(500)
        found = calibrate(nn.Identity(), logits, labels)
        assert found == fit_temperature(logits, labels)
        assert found.probabilities(logits).tolist() == softmax(logits, found.temperature).tolist()


class TestReliability:
    def test_bins_hold_all_samples_once(self) -> None:
        logits, labels = overconfident(700)
        bins = reliability(softmax(logits), labels)
        assert len(bins) == 15
        assert sum(each.count for each in bins) == 700
        assert all(each.low < each.confidence <= each.high for each in bins if each.count)

    def test_the_error_by_hand(self) -> None:
        probabilities = np.array([[0.95, 0.05], [0.95, 0.05], [0.4, 0.6], [1.0, 0.0]])
        # 0.95 and 1.0 fall into one bin of ten: 3 samples, 2 right; 0.6 is right in its own.
        expected = (abs(2 / 3 - (0.95 + 0.95 + 1) / 3) * 3 + abs(1 - 0.6)) / 4
        error = expected_calibration_error(probabilities, np.array([0, 1, 1, 0]), bins=10)
        assert error == pytest.approx(expected)


class TestEvaluate:
    LOGITS = np.array([[2, 0, 0], [0, 1, 0], [0, 3, 0], [0, 0, 1], [5, 0, 0]], np.float32)
    LABELS = np.array([0, 1, 0, 2, 1])

    @pytest.fixture
    def found(self) -> Evaluation:
        return evaluate(nn.Identity(), self.LOGITS, self.LABELS, classes=["a", "b", "c"])

    def test_figures_by_hand(self, found: Evaluation) -> None:
        assert found.accuracy == 3 / 5
        assert found.recall == {"a": 0.5, "b": 0.5, "c": 1.0}
        assert found.precision == {"a": 0.5, "b": 0.5, "c": 1.0}
        assert found.f1 == {"a": 0.5, "b": 0.5, "c": 1.0}
        assert found.support == {"a": 2, "b": 2, "c": 1}
        assert found.balanced_accuracy == pytest.approx(2 / 3)
        assert found.confusion.tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 1]]
        assert found.most_wrong(9) == [4, 2]
        assert found.most_wrong(1) == [4]
        assert "3 of 5" in str(found)

    def test_classes_that_never_come_have_no_figures(self) -> None:
        found = evaluate(nn.Identity(), self.LOGITS[:2], [0, 0])
        assert found.recall == {"0": 0.5, "1": None, "2": None}
        assert found.precision == {"0": 1.0, "1": 0.0, "2": None}
        assert found.f1 == {"0": pytest.approx(2 / 3), "1": 0.0, "2": None}
        assert "-" in str(found)

    def test_data_in_any_form_and_names_of_classes(self, found: Evaluation) -> None:
        names = [found.classes[label] for label in self.LABELS]
        for data, labels in (
            (neurenix.Tensor(self.LOGITS), self.LABELS),
            (list(self.LOGITS), names),
            (list(zip(self.LOGITS, self.LABELS.tolist(), strict=True)), None),
            (Dataset(list(self.LOGITS), self.LABELS), None),
        ):
            other = evaluate(nn.Identity(), data, labels, classes=("a", "b", "c"), batch_size=2)
            assert other.summary() == found.summary()

    def test_outputs_that_are_probabilities_or_one_number(self) -> None:
        logits = neurenix.Tensor(self.LOGITS)
        plain = evaluate(nn.Identity(), logits, self.LABELS).probabilities
        softmaxed = evaluate(nn.Softmax(axis=1), logits, self.LABELS).probabilities
        np.testing.assert_allclose(plain, softmaxed, rtol=1e-5)
        single = evaluate(nn.Identity(), logits[:, :1], [1, 0, 0, 0, 1])
        sigmoid = evaluate(nn.Sigmoid(), logits[:, :1], [1, 0, 0, 0, 1])
        np.testing.assert_allclose(single.probabilities[:, 1], 1 / (1 + np.exp(-self.LOGITS[:, 0])))
        np.testing.assert_allclose(single.probabilities, sigmoid.probabilities, rtol=1e-4)

    def test_modes_are_put_back(self) -> None:
        model = nn.Sequential(nn.Dropout(0.9))
        first = evaluate(model, self.LOGITS, self.LABELS)
        assert model.training
        assert model[0].training
        assert first.probabilities.tolist() == (
            evaluate(nn.Identity(), self.LOGITS, self.LABELS).probabilities.tolist()
        )

    def test_is_drawn(self, found: Evaluation, tmp_path: object) -> None:
        figure = found.plot()
        assert figure.axes[0].get_title(loc="left") == "Confusion"

    @pytest.mark.parametrize(
        ("labels", "message"),
        [
            ([0, 1, 2, 3, 0], r"labels\[3\] is 3; the model has 3 classes"),
            ([0, 1, 2, -1, 0], r"labels\[3\] is -1"),
            ([0.5, 1, 2, 1, 0], "expected the number of a class"),
        ],
    )
    def test_labels_that_are_no_classes(self, labels: list[float], message: str) -> None:
        with pytest.raises(LabelError, match=message):
            evaluate(nn.Identity(), self.LOGITS, labels)

    def test_what_does_not_fit(self) -> None:
        with pytest.raises(DataError, match="without labels"):
            evaluate(nn.Identity(), self.LOGITS)
        with pytest.raises(LabelError, match="'d'; the classes are a, b, c"):
            evaluate(nn.Identity(), self.LOGITS, ["a", "d", "a", "a", "a"], classes="abc")
        with pytest.raises(DataError, match="2 names of classes"):
            evaluate(nn.Identity(), self.LOGITS, self.LABELS, classes=["a", "b"])
        with pytest.raises(TypeError, match="Module or a Predictor"):
            evaluate("model", self.LOGITS, self.LABELS)  # type: ignore[arg-type]
