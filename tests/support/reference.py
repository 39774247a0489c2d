"""Adam as the paper writes it, in NumPy float64: the oracle of the tests.

Kingma and Ba 2015, Algorithm 1 in the "epsilon hat" form before section 2.1; the
options around it follow the documentation of keras.optimizers.Adam. Written without
looking at either implementation's order of operations.
"""

import numpy as np


def _clip(gradients, clipnorm, clipvalue, global_clipnorm):
    if clipnorm:
        return [
            g * min(1, clipnorm / max(np.linalg.norm(g), 1e-300)) for g in gradients
        ]
    if global_clipnorm:
        norm = np.sqrt(sum(np.sum(g * g) for g in gradients))
        return [g * min(1, global_clipnorm / norm) for g in gradients]
    if clipvalue:
        return [np.clip(g, -clipvalue, clipvalue) for g in gradients]
    return gradients


def train(
    weights,
    gradients_per_step,
    learning_rate=1e-3,
    beta_1=0.9,
    beta_2=0.999,
    epsilon=1e-7,
    amsgrad=False,
    weight_decay=None,
    clipnorm=None,
    clipvalue=None,
    global_clipnorm=None,
    use_ema=False,
    ema_momentum=0.99,
    ema_overwrite_frequency=None,
    loss_scale_factor=None,
    gradient_accumulation_steps=None,
):
    """Weights after all steps; with an average, that average (as after `fit`)."""
    w = [np.asarray(x, np.float64) for x in weights]
    m = [np.zeros_like(x) for x in w]
    v = [np.zeros_like(x) for x in w]
    largest = [np.zeros_like(x) for x in w]
    average = None
    waiting = []
    t = 0
    for received in gradients_per_step:
        scale = loss_scale_factor or 1
        waiting.append([np.asarray(g, np.float64) / scale for g in received])
        if len(waiting) < (gradient_accumulation_steps or 1):
            continue
        means = [np.mean(group, axis=0) for group in zip(*waiting, strict=True)]
        waiting = []
        gradients = _clip(means, clipnorm, clipvalue, global_clipnorm)
        t += 1
        for i, g in enumerate(gradients):
            if weight_decay:
                w[i] = w[i] * (1 - learning_rate * weight_decay)
            m[i] = beta_1 * m[i] + (1 - beta_1) * g
            v[i] = beta_2 * v[i] + (1 - beta_2) * g**2
            largest[i] = np.maximum(largest[i], v[i])
            second = largest[i] if amsgrad else v[i]
            rate = learning_rate * np.sqrt(1 - beta_2**t) / (1 - beta_1**t)
            w[i] = w[i] - rate * m[i] / (np.sqrt(second) + epsilon)
        if use_ema:
            if average is None:
                average = [x.copy() for x in w]
            else:
                average = [
                    ema_momentum * a + (1 - ema_momentum) * x
                    for a, x in zip(average, w, strict=True)
                ]
            if ema_overwrite_frequency and t % ema_overwrite_frequency == 0:
                w = [a.copy() for a in average]
    return average if use_ema and average is not None else w


def train_lazily(
    weights,
    steps,
    learning_rate=1e-3,
    beta_1=0.9,
    beta_2=0.999,
    epsilon=1e-7,
    amsgrad=False,
    weight_decay=None,
    clipnorm=None,
    clipvalue=None,
    global_clipnorm=None,
    use_ema=False,
    ema_momentum=0.99,
    loss_scale_factor=None,
    skip_nonfinite=False,
):
    """Weights after all steps, row by row in Python.

    A step has one entry per weight: a dense gradient, or ``(values, ids)``.
    """
    w = [np.array(x, np.float64) for x in weights]
    m, v, largest = ([np.zeros_like(x) for x in w] for _ in range(3))
    average, t = None, 0
    for step in steps:
        dense, touched = [], []
        for given, weight in zip(step, w, strict=True):
            if isinstance(given, tuple):
                gradient = np.zeros_like(weight)
                for row, i in zip(*given, strict=True):
                    gradient[i] += row
                touched.append(sorted(set(np.asarray(given[1]).tolist())))
            else:
                gradient = np.asarray(given, np.float64)
                touched.append([...])
            dense.append(gradient / (loss_scale_factor or 1))
        if skip_nonfinite and not all(np.all(np.isfinite(g)) for g in dense):
            continue
        t += 1
        dense = _clip(dense, clipnorm, clipvalue, global_clipnorm)
        rate = learning_rate * np.sqrt(1 - beta_2**t) / (1 - beta_1**t)
        for k, gradient in enumerate(dense):
            for i in touched[k]:
                g = gradient[i]
                if weight_decay:
                    w[k][i] *= 1 - learning_rate * weight_decay
                m[k][i] = beta_1 * m[k][i] + (1 - beta_1) * g
                v[k][i] = beta_2 * v[k][i] + (1 - beta_2) * g**2
                largest[k][i] = np.maximum(largest[k][i], v[k][i])
                second = largest[k][i] if amsgrad else v[k][i]
                w[k][i] -= rate * m[k][i] / (np.sqrt(second) + epsilon)
        if use_ema:
            average = [
                x.copy() if a is None else ema_momentum * a + (1 - ema_momentum) * x
                for a, x in zip(average or [None] * len(w), w, strict=True)
            ]
    return average if average is not None else w
