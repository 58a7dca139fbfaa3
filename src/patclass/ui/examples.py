"""Patents to try the page with; none of them exists."""

EXAMPLES = {
    "A drill bit": {
        "title": "Drill bit with steel blades",
        "abstract": (
            "A drill bit for boreholes has a steel body with blades that carry cutters of "
            "polycrystalline diamond. Nozzles between the blades flush cuttings into the annulus "
            "of the borehole, so that the cutters stay cool and the bit can drill longer before it "
            "is pulled from the well."
        ),
    },
    "A wound dressing": {
        "title": "Wound dressing that shows infection",
        "abstract": (
            "An adhesive bandage has an absorbent pad with an indicator that changes its pattern "
            "when bacteria release enzymes into the wound. A nurse sees through a window in the "
            "backing film that the wound is infected, without taking the dressing off the skin of "
            "the patient."
        ),
    },
    "A handover of phones": {
        "title": "Handover between cells of a radio network",
        "abstract": (
            "A base station receives measurement reports from user equipment and predicts when the "
            "signal of the serving cell will fall below that of a neighbour. It then reserves "
            "resources in the neighbouring cell and sends a handover command in advance, so that "
            "calls are not interrupted on fast trains."
        ),
    },
}
