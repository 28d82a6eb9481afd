"""The terms a family's operating domain is told in.

Names without a dot are tags of ASAM OpenLABEL 1.0, whose taxonomy is that of BSI PAS 1883. It is made for roads; what a
site indoors needs besides begins with ``site.``.
"""

OPENLABEL = frozenset(
    {
        "ArtificialVehicleLighting",
        "FixedStructureBuilding",
        "FixedStructureStreetFurniture",
        "HumanCyclist",
        "HumanPedestrian",
        "HumanWheelchairUser",
        "IntersectionCrossroad",
        "IntersectionTJunction",
        "LongitudinalDownSlope",
        "LongitudinalLevelPlane",
        "LowLightAmbient",
        "LowLightNight",
        "ParticulatesDust",
        "RoadTypeParking",
        "RoadTypeShared",
        "SunPositionFront",
        "SurfaceConditionContamination",
        "SurfaceConditionWet",
        "TemporaryStructureRoadWorks",
        "TrafficAgentDensity",
        "VehicleCar",
        "VehicleConstruction",
        "VehicleTruck",
        "WeatherRain",
    }
)
SITE = frozenset(
    {
        "site.aisle",
        "site.door",
        "site.forklift",
        "site.fault",
        "site.glass",
        "site.hall",
        "site.load",
        "site.occlusion",
        "site.overhead",
        "site.yard",
    }
)
ALL = OPENLABEL | SITE
