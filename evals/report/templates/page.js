"use strict";
// An opened criterion has its words marked in the request, the drafts and the texts.
for (const work of document.querySelectorAll("section.work")) {
  const criteria = [...work.querySelectorAll("details.criterion")];
  const marks = [...work.querySelectorAll(".text mark")];
  const rows = [...work.querySelectorAll("tr[data-criterion]")];
  const announcement = work.querySelector(".announcement");
  const show = () => {
    const open = criteria.find((each) => each.open);
    const name = open ? open.dataset.criterion : null;
    for (const mark of marks) {
      for (const kind of ["cited", "behind", "quoted"]) {
        const names = (mark.dataset[kind] || "").split(" ");
        mark.classList.toggle(kind, name !== null && names.includes(name));
      }
    }
    for (const row of rows) row.classList.toggle("on", row.dataset.criterion === name);
    const shown = open ? open.querySelector(".name").textContent : "";
    announcement.textContent = open ? `Marked in the texts: ${shown}.` : "No criterion is open.";
  };
  for (const each of criteria) each.addEventListener("toggle", show);
}
