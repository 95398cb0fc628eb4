"use strict";
// An opened criterion has its words marked in the request, the drafts and the texts.
const KINDS = { cited: "cited", behind: "behind its codes", quoted: "quoted by the judge" };
for (const work of document.querySelectorAll("section.work")) {
  const criteria = [...work.querySelectorAll("details.criterion")];
  const marks = [...work.querySelectorAll("mark")];
  const rows = [...work.querySelectorAll("tr[data-criterion]")];
  const said = work.querySelector(".said");
  const show = () => {
    const open = criteria.find((each) => each.open);
    const name = open ? open.dataset.criterion : null;
    const counts = [];
    for (const [kind, words] of Object.entries(KINDS)) {
      let count = 0;
      for (const mark of marks) {
        const on = name !== null && (mark.dataset[kind] || "").split(" ").includes(name);
        mark.classList.toggle(kind, on);
        count += on;
      }
      counts.push(`${count} ${words}`);
    }
    for (const row of rows) row.classList.toggle("on", row.dataset.criterion === name);
    said.textContent = open ? `Marked passages: ${counts.join(", ")}.` : "No criterion is open.";
  };
  for (const each of criteria) each.addEventListener("toggle", show);
}
