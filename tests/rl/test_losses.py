"""The losses of value-based learning against literal numbers and against loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from actorrl.rl.losses import quantile_loss, quantile_target, td_loss, td_slope


def tensor(*numbers) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


@pytest.mark.parametrize(("loss", "expected"), [("td", (0.125 + 2.5) / 2), ("mse", (0.25 + 9) / 2)])
def test_td_losses_are_the_numbers_of_the_book(loss, expected):
    assert td_loss(tensor(1.5, 0), tensor(1, 3), loss).item() == pytest.approx(expected)


@pytest.mark.parametrize("loss", ["td", "mse"])
def test_a_weight_multiplies_the_error_of_its_row_and_its_slope(loss):
    chosen, target, weight = tensor(1.5, 0, -4).requires_grad_(), tensor(1, 3, 2), tensor(0.5, 2, 0)

    total = td_loss(chosen, target, loss, weight)

    each = [td_loss(chosen[i : i + 1], target[i : i + 1], loss).item() for i in range(3)]
    assert total.item() == pytest.approx((0.5 * each[0] + 2 * each[1]) / 3)
    total.backward()
    torch.testing.assert_close(td_slope(chosen.detach(), target, loss, weight), chosen.grad)


def quantile_loss_by_hand(z: np.ndarray, target: np.ndarray) -> float:
    """The paper's formula as loops: i over predicted quantiles, j over targets."""
    (B, N), total = z.shape, 0.0
    for b in range(B):
        for i in range(N):
            row = 0.0
            for j in range(target.shape[1]):
                u = target[b, j] - z[b, i]
                huber = 0.5 * u**2 if abs(u) <= 1 else abs(u) - 0.5
                row += abs((i + 0.5) / N - (u < 0)) * huber
            total += row / target.shape[1]
    return total / B


def test_the_quantile_loss_sums_over_predictions_and_averages_over_targets():
    rng = np.random.default_rng(0)
    z, target = rng.normal(size=(4, 5)) * 2, rng.normal(size=(4, 3)) * 2

    loss = quantile_loss(torch.tensor(z), torch.tensor(target))

    assert loss.item() == pytest.approx(quantile_loss_by_hand(z, target))


def test_the_quantile_loss_is_the_literal_number():
    # N = 2, τ = ¼, ¾; u = 2 and −1: ¼ · 1.5 + ¼ · 0.5
    assert quantile_loss(tensor([0, 3]), tensor([2])).item() == pytest.approx(0.5)
    weighted = quantile_loss(tensor([0, 3], [0, 3]), tensor([2], [2]), tensor(3, 0))
    assert weighted.item() == pytest.approx(0.75)


def test_quantiles_descend_to_the_quantiles_of_what_they_are_shown():
    rng = np.random.default_rng(0)
    shown = torch.tensor(rng.exponential(size=(1, 501)) * 100)
    z = torch.zeros((1, 4), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([z], lr=3.0)
    for _ in range(300):
        optimizer.zero_grad()
        quantile_loss(z, shown).backward()
        optimizer.step()

    np.testing.assert_allclose(z.detach()[0], np.quantile(shown, [0.125, 0.375, 0.625, 0.875]), rtol=0.05)


def test_a_quantile_target_takes_the_action_of_the_best_mean():
    r_t, discount_t = tensor(1, 1), tensor(0.5, 0)
    z_t = tensor([[0, 0], [4, 6], [9, 1]], [[0, 0], [4, 6], [9, 1]])  # means 0, 5, 5: the first of the best
    selector = tensor([[0, 9], [1, 1], [1, 1]], [[0, 9], [1, 1], [1, 1]])
    mask = torch.tensor([[True, False, True], [True, True, True]])

    assert quantile_target(r_t, discount_t, z_t).tolist() == [[3, 4], [1, 1]]
    assert quantile_target(r_t, discount_t, z_t, selector).tolist() == [[1, 1], [1, 1]]
    assert quantile_target(r_t, discount_t, z_t, mask_t=mask).tolist() == [[5.5, 1.5], [1, 1]]


def test_one_quantile_is_the_target_of_q_learning():
    from actorrl.rl.losses import q_learning_target

    rng = torch.Generator().manual_seed(0)
    r_t, discount_t = torch.rand(6, generator=rng), torch.rand(6, generator=rng)
    q_t, selector_t = torch.rand(6, 4, generator=rng), torch.rand(6, 4, generator=rng)
    mask = torch.rand(6, 4, generator=rng) < 0.7
    mask[:, 0] = True

    z = quantile_target(r_t, discount_t, q_t[..., None], selector_t[..., None], mask)[:, 0]

    torch.testing.assert_close(z, q_learning_target(r_t, discount_t, q_t, selector_t, mask))
