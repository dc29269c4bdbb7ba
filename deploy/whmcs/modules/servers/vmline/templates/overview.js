// Keeps the machine on the product's page up to date while something is done with it.
(function () {
  'use strict';
  var root = document.getElementById('vmline');
  if (!root) { return; }
  var every = 3000; // milliseconds; what takes long is asked for less and less often
  var slowest = 15000;

  function show(state) {
    ['power', 'doing', 'progress', 'reverse'].forEach(function (name) {
      var field = root.querySelector('[data-field="' + name + '"]');
      if (field) { field.textContent = state[name]; }
    });
    var addresses = root.querySelector('[data-field="addresses"]');
    if (addresses) { addresses.textContent = state.addresses.join(', ') || 'none yet'; }
    var bar = root.querySelector('.progress');
    if (bar) {
      bar.style.display = state.busy ? '' : 'none';
      bar.firstElementChild.style.width = Number(state.percent) + '%';
    }
    Object.keys(state.buttons).forEach(function (verb) {
      var button = root.querySelector('[data-verb="' + verb + '"]');
      if (button) { button.disabled = !state.buttons[verb]; }
    });
    if (state.busy) {
      every = Math.min(slowest, every * 1.2);
      setTimeout(ask, every);
    }
  }

  function ask() {
    fetch(root.dataset.poll, { credentials: 'same-origin' })
      .then(function (answer) { if (!answer.ok) { throw new Error(String(answer.status)); } return answer.json(); })
      .then(show)
      .catch(function () { setTimeout(ask, 4 * every); });
  }

  if (root.dataset.busy === '1') { setTimeout(ask, every); }
}());
