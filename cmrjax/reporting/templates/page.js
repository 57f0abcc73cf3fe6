// Shows one text query at a time. Without this script all of them are shown, one below the other.
(function () {
  "use strict";
  var box = document.getElementById("query");
  if (!box) { return; }
  var blocks = document.querySelectorAll(".query");
  function show() {
    blocks.forEach(function (block, i) { block.hidden = i !== box.selectedIndex; });
  }
  box.parentElement.hidden = false;
  box.addEventListener("change", show);
  show();
})();
