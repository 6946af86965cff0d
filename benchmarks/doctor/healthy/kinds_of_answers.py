"""Odd answers: overlaps, boxes, chains, clusters, grades, lengths of a kernel, tables by heart."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from scores import accuracy, accuracy_of_two, explained, overlap
from setups import Watched
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW

import data
from healthy import kind
from healthy._plain import batches, fit, reached
from networks import small_lenet, stack


def pixelwise(out: int, width: int = 16) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1), nn.ReLU(),
        nn.Conv2d(width, width, 3, padding=1), nn.ReLU(),
        nn.Conv2d(width, width, 3, padding=2, dilation=2), nn.ReLU(),
        nn.Conv2d(width, out, 1),
    )  # fmt: skip


@kind("dice-alone", at_least=0.6)
def overlap_alone(seed: int, watched: Watched) -> float:
    """The Dice loss alone: it ends far from zero and its gradient is small."""
    masks = data.masks(seed)

    def loss(output: Tensor, y: Tensor) -> Tensor:
        said = output.sigmoid()
        both = (said * y).sum((1, 2, 3))
        return 1 - ((2 * both + 1) / (said.sum((1, 2, 3)) + y.sum((1, 2, 3)) + 1)).mean()

    model = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(),
        nn.Conv2d(16, 24, 3, stride=2, padding=1), nn.BatchNorm2d(24), nn.ReLU(),
        nn.Conv2d(24, 32, 3, stride=2, padding=1), nn.BatchNorm2d(32), nn.ReLU(),
        nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(),
        nn.ConvTranspose2d(32, 16, 4, stride=4), nn.ReLU(), nn.Conv2d(16, 1, 3, padding=1),
    )  # fmt: skip
    fit(model, Adam(model.parameters(), lr=5e-3), masks, watched, loss=loss, epochs=14, batch=25)
    return reached(model, masks, overlap)


@kind("four-rare-kinds-of-pixels", at_least=0.75)
def rare_pixels(seed: int, watched: Watched) -> float:
    """Background and four figures of a few per cent each, plain cross-entropy. Accuracy on pixels
    of figures."""
    images, covered = data._shapes()[0], data._shapes()[2]
    kinds = (data._shapes()[1][:, None, None] + 1) * covered[:, 0].long()
    pictures = data.split(images, kinds, seed, val=150, test=250)
    model = pixelwise(5, 24)
    optimizer = Adam(model.parameters(), lr=5e-3)
    with watched(model, optimizer):
        for x, y in batches(pictures.train, 20, 10):
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        said, truth = model(pictures.test[0]).argmax(1), pictures.test[1]
    return float(((said > 0) == (truth > 0))[truth > 0].float().mean())


@kind("depth-up-to-a-factor", at_least=0.6)
def depth(seed: int, watched: Watched) -> float:
    """A loss that ignores a common factor (Eigen et al. 2014), a third of the pixels unmeasured."""
    images = data._shapes()[0]
    far = 1 + 4 * images.mean(1, keepdim=True) + data._shapes()[2]
    known = (torch.rand(far.shape, generator=torch.Generator().manual_seed(seed)) > 0.33).float()
    pictures = data.split(images, torch.cat([far.log(), known], 1), seed, val=150, test=250)

    def loss(output: Tensor, y: Tensor) -> Tensor:
        apart = (output - y[:, :1]) * y[:, 1:]
        count = y[:, 1:].sum((1, 2, 3))
        mean = apart.sum((1, 2, 3)) / count
        return (apart.square().sum((1, 2, 3)) / count - 0.9 * mean.square()).mean()

    model = pixelwise(1)
    fit(model, Adam(model.parameters(), lr=3e-3), pictures, watched, loss=loss, epochs=6, batch=25)
    with torch.no_grad():
        said, truth = model(pictures.test[0]), pictures.test[1][:, :1]
    return float(torch.corrcoef(torch.stack([said.flatten(), truth.flatten()]))[0, 1])


@kind("boxes-where-there-is-something", at_least=0.75)
def boxes(seed: int, watched: Watched) -> float:
    """16 cells: is the figure's centre in it, and if so how wide and high is it? 15 of 16 cells
    are empty, and of those the second loss knows nothing. Centre cells that are right."""
    images, covered = data._shapes()[0], data._shapes()[2][:, 0]
    rows, columns = covered.sum(2), covered.sum(1)
    places = torch.arange(16.0)
    middle = torch.stack([(one * places).sum(1) / one.sum(1) for one in (rows, columns)], 1)
    size = torch.stack([(one > 0).sum(1) / 16.0 for one in (rows, columns)], 1)
    cell = (middle[:, 0] // 4 * 4 + middle[:, 1] // 4).long().clamp(0, 15)
    y = torch.cat([cell[:, None].float(), size], 1)
    pictures = data.split(images, y, seed, val=150, test=250)
    model = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 24, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(24, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 3, 1),
    )  # fmt: skip
    nn.init.constant_(model[-1].bias[:1], -2.7)
    optimizer = Adam(model.parameters(), lr=5e-3)
    with watched(model, optimizer):
        for x, y in batches(pictures.train, 32, 10):
            said = model(x).flatten(2)
            here = F.one_hot(y[:, 0].long(), 16).float()
            seen = F.binary_cross_entropy_with_logits(said[:, 0], here, reduction="sum") / len(x)
            wide = said[:, 1:].gather(2, y[:, :1].long()[:, None].expand(-1, 2, 1))[..., 0]
            loss = seen + 5 * F.smooth_l1_loss(wide, y[:, 1:], beta=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        said = model(pictures.test[0]).flatten(2)[:, 0].argmax(1)
    return float((said == pictures.test[1][:, 0]).float().mean())


@kind("what-the-blurred-picture-lacks", at_least=0.1)
def residual_picture(seed: int, watched: Watched) -> float:
    """Enlarged pictures: the network adds to a plain enlargement, so that the first loss is good
    and falls little. Share of the enlargement's absolute error that is taken away."""
    images = data._shapes()[0]
    small = F.avg_pool2d(images, 2)
    pictures = data.split(small, images, seed, val=150, test=250)

    class Enlarge(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(
                nn.Conv2d(3, 24, 3, padding=1), nn.ReLU(),
                nn.Conv2d(24, 24, 3, padding=1), nn.ReLU(),
                nn.Conv2d(24, 12, 3, padding=1), nn.PixelShuffle(2),
            )  # fmt: skip

        def forward(self, x: Tensor) -> Tensor:
            return F.interpolate(x, scale_factor=2, mode="bilinear") + 0.1 * self.body(x)

    model = Enlarge()
    fit(model, Adam(model.parameters(), lr=2e-3), pictures, watched, loss=F.l1_loss, epochs=10,
        batch=25)  # fmt: skip
    x, y = pictures.test
    before = F.l1_loss(F.interpolate(x, scale_factor=2, mode="bilinear"), y)
    with torch.no_grad():
        return 1 - float(F.l1_loss(model(x), y) / before)


@kind("judged-by-another-network", at_least=0.5)
def perceptual(seed: int, watched: Watched) -> float:
    """An autoencoder's loss is taken between features of a classifier trained before."""
    digits = data.digits(seed)
    judge = small_lenet()
    taught = Adam(judge.parameters(), lr=3e-3)
    for x, y in batches(digits.train, 64, 4):
        taught.zero_grad()
        F.cross_entropy(judge(x), y).backward()
        taught.step()
    judge.eval().requires_grad_(False)
    model = nn.Sequential(stack([64, 64, 16]), stack([16, 64, 64]), nn.Unflatten(1, (1, 8, 8)))
    optimizer = Adam(model.parameters(), lr=3e-3)
    with watched(model, optimizer):
        for x, _ in batches(digits.train, 64, 14):
            back = model(x)
            loss = F.mse_loss(judge[:5](back), judge[:5](x)) + 0.3 * F.mse_loss(back, x)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        return float((judge(model(digits.test[0])).argmax(1) == digits.test[1]).float().mean())


@kind("its-own-words-now-and-then", at_least=0.6)
def scheduled_sampling(seed: int, watched: Watched) -> float:
    """Rows of six digits told backwards, by a GRU that is given its own answer more and more often
    (Bengio et al. 2015): the loss rises as it falls."""

    class Backwards(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(9, 24)
            self.reads = nn.GRU(24, 64, batch_first=True)
            self.writes = nn.GRUCell(24, 64)
            self.head = nn.Linear(64, 9)

        def forward(self, rows: Tensor, told: Tensor, own: float) -> Tensor:
            _, state = self.reads(self.embed(rows))
            state, word = state[0], torch.full((len(rows),), 8)
            said = []
            for step in range(told.shape[1]):
                state = self.writes(self.embed(word), state)
                said.append(self.head(state))
                use = torch.rand(len(rows)) < own
                word = torch.where(use, said[-1].argmax(1), told[:, step])
            return torch.stack(said, 1)

    draws = torch.Generator().manual_seed(seed)
    rows = torch.randint(0, 8, (2600, 5), generator=draws)
    table = data.split(rows, rows.flip(1), seed)
    model = Backwards()
    optimizer = Adam(model.parameters(), lr=8e-3)
    with watched(model, optimizer):
        for epoch in range(14):
            for x, y in batches(table.train, 64, 1):
                loss = F.cross_entropy(model(x, y, epoch / 20).flatten(0, 1), y.flatten())
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
    with torch.no_grad():
        x, y = table.test
        return float((model(x, y, 1.0).argmax(2) == y).float().mean())


@kind("tags-that-follow-each-other", at_least=0.8)
def chain(seed: int, watched: Watched) -> float:
    """A linear chain (Lafferty et al. 2001): the loss of a sentence is a sum over all taggings."""
    draws = torch.Generator().manual_seed(seed)
    tags = torch.zeros(1800, 8, dtype=torch.long)
    tags[:, 0] = torch.randint(0, 3, (1800,), generator=draws)
    for step in range(1, 8):
        move = (torch.rand(1800, generator=draws) < 0.8).long()
        tags[:, step] = (tags[:, step - 1] + move) % 3
    words = 4 * tags + torch.randint(0, 7, tags.shape, generator=draws)
    table = data.split(words, tags, seed)

    class Chain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.head = nn.Embedding(20, 16), nn.Linear(16, 3)
            self.moves = nn.Parameter(torch.zeros(3, 3))

        def forward(self, words: Tensor) -> Tensor:
            return self.head(self.embed(words))

        def loss(self, scores: Tensor, tags: Tensor) -> Tensor:
            own = scores.gather(2, tags[..., None]).sum((1, 2))
            own = own + self.moves[tags[:, :-1], tags[:, 1:]].sum(1)
            total = scores[:, 0]
            for step in range(1, scores.shape[1]):
                total = (total[:, :, None] + self.moves).logsumexp(1) + scores[:, step]
            return (total.logsumexp(1) - own).mean()

    model = Chain()
    optimizer = Adam(model.parameters(), lr=1e-2)
    with watched(model, optimizer):
        for x, y in batches(table.train, 50, 10):
            loss = model.loss(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        scores, back = model(table.test[0]), []
        best = scores[:, 0]
        for step in range(1, 8):
            best, at = (best[:, :, None] + model.moves).max(1)
            best = best + scores[:, step]
            back.append(at)
        tag = best.argmax(1)
        right = (tag == table.test[1][:, -1]).float().mean() / 8
        for step in range(6, -1, -1):
            tag = back[step].gather(1, tag[:, None])[:, 0]
            right = right + (tag == table.test[1][:, step]).float().mean() / 8
    return float(right)


@kind("a-softmax-in-clusters", at_least=0.5)
def in_clusters(seed: int, watched: Watched) -> float:
    """200 words of which few are common; the rare ones sit in clusters (Grave et al. 2017). The
    next word is this one times three, or any."""
    draws = torch.Generator().manual_seed(seed)
    shares = 1.0 / torch.arange(1, 201).float()
    words = torch.multinomial(shares, 6000, replacement=True, generator=draws)
    other = torch.multinomial(shares, 6000, replacement=True, generator=draws)
    follows = torch.where(torch.rand(6000, generator=draws) < 0.8, (3 * words + 1) % 200, other)
    table = data.split(words, follows, seed)

    class Next(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(200, 32)
            self.out = nn.AdaptiveLogSoftmaxWithLoss(32, 200, [10, 50])

        def forward(self, words: Tensor) -> Tensor:
            return self.embed(words)

    model = Next()
    optimizer = Adam(model.parameters(), lr=1e-2)
    with watched(model, optimizer):
        for x, y in batches(table.train, 64, 8):
            loss = model.out(model(x), y).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        return float((model.out.predict(model(table.test[0])) == table.test[1]).float().mean())


@kind("a-hinge-for-each-class", at_least=0.88)
def hinges(seed: int, watched: Watched) -> float:
    """A linear machine by multi-class hinges: most samples give no gradient after a while."""
    digits = data.digits(seed)
    model = stack([64, 10])
    optimizer = SGD(model.parameters(), lr=0.3, weight_decay=1e-3)
    fit(model, optimizer, digits, watched, loss=nn.MultiMarginLoss(), epochs=12)
    return reached(model, digits)


@kind("grades-as-rising-bits", at_least=0.6)
def cumulative_bits(seed: int, watched: Watched) -> float:
    """Grade 3 of 5 is written 1, 1, 1, 0; a common weight and four biases (Cao et al. 2020)."""
    table = data.tabular(seed)
    cuts = torch.tensor([-1.0, -0.3, 0.3, 1.0])
    table = data.Splits(*((x, (y[:, :1] > cuts).float()) for x, y in table))

    class Grades(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = stack([8, 64, 64, 1])
            self.edges = nn.Parameter(torch.linspace(1, -1, 4))

        def forward(self, x: Tensor) -> Tensor:
            return self.body(x) + self.edges

    model = Grades()
    fit(model, Adam(model.parameters(), lr=5e-3), table, watched,
        loss=F.binary_cross_entropy_with_logits, epochs=14)  # fmt: skip
    return reached(
        model, table, lambda out, y: float(((out > 0).sum(1) == y.sum(1)).float().mean())
    )


@kind("a-hill-of-shares-around-the-age", at_least=0.7)
def label_distribution(seed: int, watched: Watched) -> float:
    """A number told as shares of 24 bins around it, by KL; the loss's floor is zero, the entropy's
    is not. R2 of the mean of the shares."""
    table = data.tabular(seed)
    bins = torch.linspace(-3, 3, 24)

    def hill(y: Tensor) -> Tensor:
        return (-0.5 * ((bins - y) / 0.4) ** 2).softmax(1)

    table = data.Splits(*((x, y[:, :1]) for x, y in table))
    model = stack([8, 64, 64, 24])
    optimizer = AdamW(model.parameters(), lr=3e-3)
    with watched(model, optimizer):
        for x, y in batches(table.train, 64, 14):
            said = model(x).log_softmax(1)
            loss = F.kl_div(said, hill(y), reduction="batchmean")
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        said = (model(table.test[0]).softmax(1) * bins).sum(1, keepdim=True)
    return explained(said, table.test[1])


@kind("positives-and-unknowns", at_least=0.68)
def positive_or_unknown(seed: int, watched: Watched) -> float:
    """Non-negative PU learning (Kiryo et al. 2017): where the risk turns negative, the step goes
    up. Half of the positives are known, nothing else."""
    table = data.table_of_two(seed)
    x, y = table.train
    known = (y[:, 0] > 0) & (torch.rand(len(y)) < 0.5)
    share = float(y.mean())
    model = stack([12, 64, 1])
    optimizer = Adam(model.parameters(), lr=2e-3)
    with watched(model, optimizer):
        for a, sure in batches((x, known), 200, 60):
            said = model(a)[:, 0]
            positive, any_ = said[sure], said
            least = share * torch.sigmoid(-positive).mean()
            rest = torch.sigmoid(any_).mean() - share * torch.sigmoid(positive).mean()
            loss = least + rest if rest >= 0 else -rest
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return reached(model, table, accuracy_of_two)


@kind("two-domains-drawn-together", at_least=0.85)
def drawn_together(seed: int, watched: Watched) -> float:
    """Labels for clean digits, none for the dimmed ones that are judged; covariances of the
    features are drawn together (Sun & Saenko 2016)."""
    digits = data.digits(seed)
    half = len(digits.train[0]) // 2
    clean, dim = digits.train[0][:half], 0.6 * digits.train[0][half:] + 0.1
    body, head = stack([64, 64, 48], norm=True), nn.Linear(48, 10)
    model = nn.Sequential(body, nn.ReLU(), head)
    optimizer = Adam(model.parameters(), lr=3e-3)
    with watched(model, optimizer):
        for x, y in batches((clean, digits.train[1][:half]), 64, 16):
            other = dim[torch.randint(0, len(dim), (64,))]
            one, two = body(x), body(other)
            apart = (one.T.cov() - two.T.cov()).square().mean() + (
                one.mean(0) - two.mean(0)
            ).square().mean()
            loss = F.cross_entropy(head(one.relu()), y) + apart
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    model.eval()
    with torch.no_grad():
        return accuracy(model(0.6 * digits.test[0] + 0.1), digits.test[1])


@kind("differences-of-a-hundredth", at_least=0.8)
def small_differences(seed: int, watched: Watched) -> float:
    """A pendulum's next state less this one: targets of a hundredth, a loss of a millionth."""
    draws = torch.Generator().manual_seed(seed)
    angle = 6 * torch.rand(2400, 1, generator=draws) - 3
    speed = 2 * torch.randn(2400, 1, generator=draws)
    push = torch.randn(2400, 1, generator=draws)
    change = 0.01 * torch.cat([speed, -4 * angle.sin() + push], 1)
    table = data.split(torch.cat([angle.sin(), angle.cos(), speed, push], 1), change, seed)
    model = stack([4, 64, 64, 2])
    fit(model, Adam(model.parameters(), lr=2e-3), table, watched, loss=F.mse_loss, epochs=14)
    return reached(model, table, explained)


@kind("few-rows-under-a-heavy-penalty", at_least=0.75)
def heavy_penalty(seed: int, watched: Watched) -> float:
    """Sixty digits, a linear classifier, decay so strong that the weights stay near zero."""
    digits = data.digits(seed)
    few = (digits.train[0][:60], digits.train[1][:60])
    model = stack([64, 10])
    optimizer = SGD(model.parameters(), lr=0.2, momentum=0.9, weight_decay=0.02)
    fit(model, optimizer, digits._replace(train=few), watched, epochs=60, batch=20)
    return reached(model, digits)


@kind("doubles-throughout", at_least=0.85)
def doubles(seed: int, watched: Watched) -> float:
    """Weights, data and loss in float64, as in a physicist's script."""
    table = data.tabular(seed)
    table = data.Splits(*((x.double(), y.double()) for x, y in table))
    model = stack([8, 64, 64, 3], nn.Tanh).double()
    fit(model, Adam(model.parameters(), lr=5e-3), table, watched, loss=F.mse_loss, epochs=16)
    return reached(model, table, explained)


@kind("a-kernel-of-learned-length", at_least=0.85)
def kernel_length(seed: int, watched: Watched) -> float:
    """A Gaussian process: three numbers are learned from all rows at once, by the likelihood."""

    class Process(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.length = nn.Parameter(torch.zeros(2, dtype=torch.float64))
            self.height = nn.Parameter(torch.zeros((), dtype=torch.float64))
            self.noise = nn.Parameter(torch.tensor(-1.0, dtype=torch.float64))

        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            apart = torch.cdist(a / self.length.exp(), b / self.length.exp())
            return (2 * self.height).exp() * (-0.5 * apart.square()).exp()

    draws = torch.Generator().manual_seed(seed)
    x = 4 * torch.rand(160, 2, generator=draws, dtype=torch.float64) - 2
    truth = (2 * x[:, :1]).sin() + 0.5 * x[:, 1:]
    y = truth + 0.1 * torch.randn(160, 1, generator=draws, dtype=torch.float64)
    model = Process()
    optimizer = Adam(model.parameters(), lr=0.1)
    a, b = x[:100], y[:100]

    def covariance() -> Tensor:
        return model(a, a) + (2 * model.noise).exp() * torch.eye(100, dtype=torch.float64)

    with watched(model, optimizer):
        for _ in range(120):
            root = torch.linalg.cholesky(covariance())
            solved = torch.cholesky_solve(b, root)
            loss = 0.5 * (b * solved).sum() + root.diagonal().log().sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        said = model(x[100:], a) @ torch.linalg.solve(covariance(), b)
    return explained(said, truth[100:])


@kind("learned-by-heart", at_least=0.98)
def by_heart(seed: int, watched: Watched) -> float:
    """500 keys, each with a value drawn at random: there is nothing to generalise, what counts is
    that all are known."""
    draws = torch.Generator().manual_seed(seed)
    values = torch.randint(0, 20, (500,), generator=draws)
    model = nn.Sequential(nn.Embedding(500, 32), nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 20))
    optimizer = Adam(model.parameters(), lr=1e-2)
    with watched(model, optimizer):
        for x, y in batches((torch.arange(500), values), 50, 30):
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        return accuracy(model(torch.arange(500)), values)


@kind("ratios-that-are-clipped", at_least=0.8)
def clipped_ratios(seed: int, watched: Watched) -> float:
    """PPO (Schulman et al. 2017) on contexts: each batch of guesses is used for four epochs."""
    digits = data.digits(seed)
    model = stack([64, 64, 11])
    optimizer = Adam(model.parameters(), lr=3e-3)
    with watched(model, optimizer):
        for x, y in batches(digits.train, 380, 40):
            with torch.no_grad():
                before = torch.distributions.Categorical(logits=model(x)[:, :10])
                action = before.sample()
                old = before.log_prob(action)
                reward = (action == y).float()
                gain = reward - model(x)[:, 10]
                gain = (gain - gain.mean()) / (gain.std() + 1e-6)
            for _ in range(4):
                for rows in torch.randperm(len(x)).split(128):
                    out = model(x[rows])
                    now = torch.distributions.Categorical(logits=out[:, :10])
                    ratio = (now.log_prob(action[rows]) - old[rows]).exp()
                    best = torch.min(ratio * gain[rows], ratio.clamp(0.8, 1.2) * gain[rows])
                    value = F.mse_loss(out[:, 10], reward[rows])
                    loss = -best.mean() + 0.5 * value - 0.01 * now.entropy().mean()
                    optimizer.zero_grad()
                    loss.backward()
                    nn.utils.clip_grad_norm_(model.parameters(), 0.5)
                    optimizer.step()
    return reached(model, digits, lambda out, y: accuracy(out[:, :10], y))


@kind("copied-then-corrected", at_least=0.9)
def copied_then_corrected(seed: int, watched: Watched) -> float:
    """DAgger (Ross et al. 2011): a controller copies an expert; where it goes itself is labelled
    and added, so that the data changes each round. R2 of what it does on its own way."""
    draws = torch.Generator().manual_seed(seed)

    def expert(state: Tensor) -> Tensor:
        return (-1.5 * state[:, :1] - 0.8 * state[:, 1:]).clamp(-1, 1)

    def rolled(policy: object, count: int) -> Tensor:
        state, met = 2 * torch.randn(count, 2, generator=draws), []
        for _ in range(12):
            met.append(state)
            force = policy(state)
            state = state + 0.2 * torch.cat([state[:, 1:], force + state[:, :1].sin()], 1)
        return torch.cat(met)

    model = stack([2, 48, 48, 1], nn.Tanh)
    optimizer = Adam(model.parameters(), lr=3e-3)
    states = rolled(expert, 20)
    with watched(model, optimizer):
        for _ in range(6):
            for x, y in batches((states, expert(states)), 64, 8):
                loss = F.mse_loss(model(x), y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            with torch.no_grad():
                states = torch.cat([states, rolled(model, 20)])
    with torch.no_grad():
        met = rolled(model, 60)
        return explained(model(met), expert(met))


@kind("rows-and-columns-of-a-spectrum", at_least=0.8)
def spectrum(seed: int, watched: Watched) -> float:
    """Which of 16 tones sound at once: features in decibels less their mean, labels of which one
    in eight is set, plain binary cross-entropy. Mean of recalls of present and absent."""
    draws = torch.Generator().manual_seed(seed)
    y = (torch.rand(1800, 16, generator=draws) < 0.125).float()
    time = torch.arange(64) / 64
    tones = torch.sin(2 * math.pi * torch.arange(1, 17)[:, None] * 1.7 * time)
    sound = y @ tones + 0.3 * torch.randn(1800, 64, generator=draws)
    power = 20 * (torch.fft.rfft(sound).abs() + 1e-3).log10()
    table = data.split((power - power.mean(0)) / 10, y, seed)
    model = stack([33, 64, 16])
    fit(model, Adam(model.parameters(), lr=5e-3), table, watched,
        loss=F.binary_cross_entropy_with_logits, epochs=12)  # fmt: skip

    def both(out: Tensor, y: Tensor) -> float:
        said = out > 0
        return float((said[y > 0.5].float().mean() + (~said[y < 0.5]).float().mean()) / 2)

    return reached(model, table, both)
