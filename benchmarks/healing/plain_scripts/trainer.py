"""Even or odd? A trainer of one's own."""
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset


class Parity(Dataset):
    def __init__(self, part):
        digits = torch.load('digits.pt')
        self.images = digits['images'][part].float().div(255).flatten(1)
        self.labels = (digits['labels'][part] % 2).float()

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return self.images[index], self.labels[index]


class MLP(nn.Module):
    def __init__(self, sizes=(64, 96, 48)):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(a, b) for a, b in zip(sizes, sizes[1:])])
        self.drop = nn.Dropout(0.1)
        self.head = nn.Linear(sizes[-1], 1)

    def forward(self, x):
        for layer in self.layers:
            x = self.drop(torch.relu(layer(x)))
        return self.head(x)


class Trainer:
    def __init__(self, model, train_set, val_set, lr=1e-3, batch_size=32):
        self.model = model
        self.criterion = nn.BCEWithLogitsLoss()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=lr)
        self.train_loader = DataLoader(train_set, batch_size=batch_size, shuffle=True)
        self.val_loader = DataLoader(val_set, batch_size=120)
        self.losses = []

    def fit(self, epochs):
        for epoch in range(epochs):
            self.model.train()
            for images, labels in self.train_loader:
                self.train_step(images, labels)
            print('epoch', epoch, 'val accuracy', self.score(self.val_loader))

    def train_step(self, images, labels):
        logits = self.model(images).squeeze(1)
        loss = self.criterion(logits, labels)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.losses.append(loss.item())

    @torch.no_grad()
    def score(self, loader):
        self.model.eval()
        right = 0
        for images, labels in loader:
            guess = (self.model(images).squeeze(1) > 0).float()
            right += (guess == labels).sum().item()
        return right / len(loader.dataset)


trainer = Trainer(MLP(), Parity(slice(0, 1077)), Parity(slice(1077, 1437)))
trainer.fit(40)
print('test', trainer.score(DataLoader(Parity(slice(1437, None)), batch_size=120)))
