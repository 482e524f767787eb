package audit

import (
	"encoding/json"
	"fmt"
	"strings"
)

// The classes of OCSF that records become (schema.ocsf.io, version 1.3.0).
const (
	ocsfVersion        = "1.3.0"
	ocsfAPIActivity    = 6003
	ocsfAuthentication = 3002
	ocsfEntity         = 3004
)

type ocsfEvent struct {
	ActivityID  int            `json:"activity_id"`
	CategoryUID int            `json:"category_uid"`
	ClassUID    int            `json:"class_uid"`
	TypeUID     int            `json:"type_uid"`
	SeverityID  int            `json:"severity_id"`
	StatusID    int            `json:"status_id"`
	StatusCode  string         `json:"status_code,omitzero"`
	Detail      string         `json:"status_detail,omitzero"`
	Time        int64          `json:"time"`
	Duration    int64          `json:"duration,omitzero"`
	Metadata    ocsfMetadata   `json:"metadata"`
	Actor       *ocsfActor     `json:"actor,omitzero"`
	User        *ocsfUser      `json:"user,omitzero"`
	API         *ocsfAPI       `json:"api,omitzero"`
	Source      *ocsfEndpoint  `json:"src_endpoint,omitzero"`
	Resources   []ocsfResource `json:"resources,omitzero"`
	Entity      *ocsfResource  `json:"entity,omitzero"`
	RawData     string         `json:"raw_data"`
}

type ocsfMetadata struct {
	Version  string      `json:"version"`
	Product  ocsfProduct `json:"product"`
	UID      string      `json:"uid"`
	Sequence int64       `json:"sequence"`
	LogName  string      `json:"log_name"`
	Trace    string      `json:"correlation_uid,omitzero"`
}

type ocsfProduct struct {
	Name   string `json:"name"`
	Vendor string `json:"vendor_name"`
}

type ocsfActor struct {
	User ocsfUser `json:"user"`
}

type ocsfUser struct {
	UID    string         `json:"uid,omitzero"`
	Name   string         `json:"name,omitzero"`
	Groups []ocsfResource `json:"groups,omitzero"`
}

type ocsfResource struct {
	Name string `json:"name"`
	Type string `json:"type,omitzero"`
}

type ocsfAPI struct {
	Operation string       `json:"operation"`
	Service   ocsfResource `json:"service"`
	Request   *ocsfRequest `json:"request,omitzero"`
}

type ocsfRequest struct {
	UID string `json:"uid"`
}

type ocsfEndpoint struct {
	IP      string `json:"ip,omitzero"`
	Service string `json:"svc_name,omitzero"`
}

// ocsf returns a record as an event: calls, intents and lists are API Activity,
// logins and refusals at a door Authentication, all else Entity Management.
func ocsf(r *Exported) ([]byte, error) {
	e := ocsfEvent{
		SeverityID: 1, StatusID: 1, StatusCode: r.Code, Detail: r.Cause, Time: r.Time.UnixMilli(), Duration: r.DurationUS / 1000,
		Metadata: ocsfMetadata{
			Version: ocsfVersion, Product: ocsfProduct{"Trilith", "Trilith"}, UID: fmt.Sprintf("%s/%d", r.Node, r.Seq),
			Sequence: r.Seq, LogName: "audit", Trace: r.Trace,
		},
		RawData: string(r.Line),
	}
	if r.Code != "" && r.Code != "OK" || r.ToolError {
		e.SeverityID, e.StatusID = 2, 2
	}
	user := ocsfUser{UID: r.Principal.ID, Name: r.Principal.Name}
	for _, g := range r.Principal.Groups {
		user.Groups = append(user.Groups, ocsfResource{Name: g})
	}
	if user.UID == "" {
		user.UID = r.Actor
	}
	e.classify(r, user)
	b, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("OCSF event of record %d: %w", r.Seq, err)
	}
	return b, nil
}

// classify gives the event its class, with the members that the class has.
func (e *ocsfEvent) classify(r *Exported, user ocsfUser) {
	kind, _, _ := strings.Cut(r.Type, ".")
	switch {
	case r.Type == TypeCall || r.Type == TypeIntent || r.Type == TypeList:
		e.class(ocsfAPIActivity, ocsfActivity(r.Op))
		e.Actor, e.Source = &ocsfActor{user}, &ocsfEndpoint{Service: r.Via}
		e.API = &ocsfAPI{Operation: r.Op, Service: ocsfResource{Name: r.Via}}
		if r.ID != "" {
			e.API.Request = &ocsfRequest{r.ID}
		}
		if what := r.what(); what != "" {
			e.Resources = []ocsfResource{{what, r.Kind}}
		}
	case kind == EventDoor || kind == "login" || kind == "logout":
		e.class(ocsfAuthentication, map[string]int{EventDoor: 1, "login": 1, "logout": 2}[kind])
		e.User, e.Source = &user, &ocsfEndpoint{Service: r.Via}
		if kind == EventDoor {
			e.Source.IP = r.Actor
		}
	default:
		verb := r.Type[strings.LastIndexByte(r.Type, '.')+1:]
		e.class(ocsfEntity, ocsfActivity(verb))
		e.Actor, e.Entity = &ocsfActor{user}, &ocsfResource{r.what(), kind}
		if e.Entity.Name == "" {
			e.Entity.Name = r.Type
		}
	}
}

func (e *ocsfEvent) class(class, activity int) {
	e.ClassUID, e.CategoryUID, e.ActivityID, e.TypeUID = class, class/1000, activity, class*100+activity
}

// ocsfActivity returns the activity of a verb, the same in both classes that
// have one: 1 create, 2 read, 3 update, 4 delete, 99 other.
func ocsfActivity(verb string) int {
	switch verb {
	case "create", "issue":
		return 1
	case "read", "get", "list", "complete", "subscribe":
		return 2
	case "update", "edit", "activate", "approve":
		return 3
	case "delete", "revoke", "remove", "retention":
		return 4
	}
	return 99
}
