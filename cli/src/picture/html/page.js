'use strict';
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const picture = document.getElementById('picture');
const visible = () => picture.querySelector(`svg[data-fold="${document.body.dataset.fold}"]`);

function draw(fold) {
  document.body.dataset.fold = fold;
  for (const radio of all('input[name=fold]')) radio.checked = radio.value === fold;
  // Letters of less than half their size are none to read: scroll instead, until the box is ticked again.
  if (fit.checked && picture.clientWidth < visible().width.baseVal.value / 2) {
    fit.checked = false;
    size();
  }
}

// A box shows the line of its layer and that of its stage; a line shows the boxes and the units it made.
function mark(lines) {
  for (const element of all('.hit')) element.classList.remove('hit');
  for (const line of lines) {
    for (const element of all('li, .op, .unit')) {
      if (element.dataset.line === line) element.classList.add('hit');
    }
  }
}

picture.addEventListener('mouseover', event => {
  const op = event.target.closest('.op'), unit = event.target.closest('.unit');
  const lines = [op, unit].map(element => element?.dataset.line).filter(Boolean);
  if (!lines.length) return;
  for (const element of all('.hit')) element.classList.remove('hit');
  for (const line of lines) {
    const element = document.querySelector(`#spec li[data-line="${CSS.escape(line)}"]`);
    element?.classList.add('hit');
    element?.scrollIntoView({block: 'nearest'});
  }
});
document.getElementById('spec').addEventListener('mouseover', event => {
  const line = event.target.closest('li');
  if (line) mark([line.dataset.line]);
});

function focus(name) {
  for (const element of all('.focus')) element.classList.remove('focus');
  const unit = visible().querySelector(`[data-units~="${CSS.escape(name)}"]`);
  unit?.classList.add('focus');
  unit?.scrollIntoView({block: 'center', inline: 'center'});
  document.querySelector(`tr[data-unit="${CSS.escape(name)}"]`)?.classList.add('focus');
}
const pick = event => {
  const row = event.target.closest('tr[data-unit]');
  if (row && (event.type === 'click' || event.key === 'Enter')) focus(row.dataset.unit);
};
document.getElementById('units').addEventListener('click', pick);
document.getElementById('units').addEventListener('keydown', pick);

// A folded card opens where it is clicked.
picture.addEventListener('click', event => {
  const units = event.target.closest('.unit')?.dataset.units.split(' ') ?? [];
  if (!units[0]) return;
  if (units.length > 1) draw(document.body.dataset.fold === 'stages' ? 'units' : 'none');
  focus(units[0]);
});
for (const radio of all('input[name=fold]')) radio.addEventListener('change', () => draw(radio.value));
const fit = document.getElementById('fit');
const size = () => document.body.classList.toggle('fit', fit.checked);
fit.addEventListener('change', size);
size();
