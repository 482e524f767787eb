import{r as e}from"./rolldown-runtime-XKyaHtl9.js";import{A as t,D as n,Dt as r,E as i,N as a,Ot as o,Q as s,c,d as l,f as u,h as d,j as f,k as p,kt as m,l as h,m as g,s as _,u as v}from"./live-Cuaf3Woa.js";import{t as y}from"./console-ZFO1jjrV.js";import{i as b,n as x}from"./format-Cok3jGay.js";import{t as S}from"./shortlist-HjmC0DC3.js";import{n as C,t as w}from"./jsx-runtime-C3cWAN_r.js";import{t as T}from"./graphql-C-gECOzk.js";var E=e(C(),1),D=T(`
  query Keys {
    admin {
      keys {
        id
        subject
        label
        groups
        roles
        scopes
        tenant
        createdBy
        created
        expires
        lastUsed
        revoked
      }
    }
  }
`),O=T(`
  mutation CreateKey(
    $subject: String!
    $ttlSeconds: SafeInt!
    $label: String
    $groups: [String!]
    $roles: [String!]
    $scopes: [String!]
    $tenant: String
  ) {
    createKey(
      subject: $subject
      ttlSeconds: $ttlSeconds
      label: $label
      groups: $groups
      roles: $roles
      scopes: $scopes
      tenant: $tenant
    ) {
      secret
    }
  }
`),k=T(`
  mutation RevokeKey($id: ID!) {
    revokeKey(id: $id)
  }
`),A=w(),j=86400,M=[[String(j),`A day`],[String(7*j),`A week`],[String(30*j),`30 days`],[String(90*j),`90 days`],[String(365*j),`A year`]],N={subject:``,label:``,groups:``,roles:``,scopes:``,tenant:``,ttl:String(30*j)},P=e=>{let t=e.split(/[\s,]+/).filter(Boolean);return t.length>0?t:null};function F({onDone:e}){let a=r(),[o,c]=(0,E.useState)(!1),[u,d]=(0,E.useState)(N),[p,m]=(0,E.useState)(!1),[g,_]=(0,E.useState)(),[v,y]=(0,E.useState)(``),b=e=>({value:u[e],onChange:t=>d({...u,[e]:t}),maxLength:1024}),x=async()=>{m(!0),_(void 0);let t={subject:u.subject.trim(),ttlSeconds:Number(u.ttl),label:u.label.trim()||null,groups:P(u.groups),roles:P(u.roles),scopes:P(u.scopes),tenant:u.tenant.trim()||null},n=await a.mutation(O,t).toPromise();m(!1),_(n.error),n.data?.createKey&&(y(n.data.createKey.secret),d(N),e())},S=()=>{c(!1),y(``),_(void 0)};return(0,A.jsxs)(A.Fragment,{children:[(0,A.jsx)(s,{className:`react-aria-Button primary`,onPress:()=>c(!0),children:`Create a key`}),(0,A.jsx)(t,{title:v?`The key`:`Create a key`,isOpen:o,onClose:S,isDismissable:!v,children:v?(0,A.jsxs)(A.Fragment,{children:[(0,A.jsx)(l,{tone:`warn`,children:`This is the only time that the secret is shown. Copy it now to where it is kept; a lost one is replaced by a new key.`}),(0,A.jsx)(f,{label:`secret`,text:v}),(0,A.jsxs)(`p`,{children:[`It is sent as `,(0,A.jsx)(`code`,{children:`Authorization: Bearer`}),`, to every door.`]}),(0,A.jsx)(`div`,{className:`actions`,children:(0,A.jsx)(s,{className:`react-aria-Button primary`,onPress:S,children:`I have kept it`})})]}):(0,A.jsxs)(`form`,{className:`stack`,onSubmit:e=>{e.preventDefault(),x()},children:[(0,A.jsxs)(`div`,{className:`grid`,children:[(0,A.jsx)(n,{label:`Subject`,isRequired:!0,...b(`subject`),hint:`Whose it is, such as billing-sync.`}),(0,A.jsx)(i,{label:`Good for`,value:u.ttl,onChange:e=>d({...u,ttl:e}),options:M}),(0,A.jsx)(n,{label:`Label`,...b(`label`),hint:`What it is for.`}),(0,A.jsx)(n,{label:`Roles`,...b(`roles`),hint:`Several with spaces between them.`}),(0,A.jsx)(n,{label:`Groups`,...b(`groups`),hint:`Several with spaces between them.`}),(0,A.jsx)(n,{label:`Scopes`,...b(`scopes`),hint:`The bound of what it may do; none is no bound.`}),(0,A.jsx)(n,{label:`Tenant`,...b(`tenant`),hint:`Only where there are several.`})]}),(0,A.jsx)(`p`,{className:`muted`,children:`A key has no right that you do not have, unless you may change the policy.`}),(0,A.jsx)(h,{error:g,what:`No key was made`}),(0,A.jsxs)(`div`,{className:`actions row`,children:[(0,A.jsx)(s,{onPress:S,children:`Cancel`}),(0,A.jsx)(s,{type:`submit`,className:`react-aria-Button primary`,isDisabled:p||u.subject.trim()===``,children:`Create`})]})]})})]})}var I={row:`_row_tfjo5_1`,who:`_who_tfjo5_7`,may:`_may_tfjo5_8`};function L(){let e=y(),[{data:t,error:n,fetching:r},i]=m({query:D,requestPolicy:`network-only`}),a=()=>i({requestPolicy:`network-only`}),o=u(n).some(e=>e.code===`NOT_FOUND`),l=e(`keys`,`admin`)&&!o,f=t?.admin.keys;return(0,A.jsxs)(g,{title:`Keys`,hint:`API keys of the gateway's own, for services without an issuer.`,actions:(0,A.jsxs)(A.Fragment,{children:[(0,A.jsx)(s,{onPress:a,children:`Read again`}),l&&(0,A.jsx)(F,{onDone:a})]}),children:[!o&&(0,A.jsx)(h,{error:n}),o?(0,A.jsxs)(c,{title:`This gateway takes no API keys`,children:[`Write `,(0,A.jsxs)(`code`,{children:[`api_keys: `,`{}`]}),` under `,(0,A.jsx)(`code`,{children:`auth`}),` in the configuration. The first start makes one and writes it into `,(0,A.jsx)(`code`,{children:`first-api-key`}),` in the data directory.`]}):f?f.length===0?(0,A.jsx)(c,{title:`There is no key`,children:l&&`Create one for each service, so that each can be revoked alone.`}):(0,A.jsx)(d,{title:`Keys: ${f.length}`,children:(0,A.jsx)(S,{items:f.toReversed(),label:`Keys`,what:`keys`,id:e=>e.id,children:e=>(0,A.jsx)(R,{of:e,admin:l,onDone:a})})}):r&&(0,A.jsx)(v,{what:`keys`})]})}function R({of:e,admin:t,onDone:n}){let[,r]=o(k),i=e.expires!==null&&new Date(e.expires).getTime()<=Date.now(),s=!e.revoked&&!i,c=x(e.label||e.subject,100),l=[[`roles`,e.roles],[`groups`,e.groups],[`bounded by`,e.scopes]];return(0,A.jsxs)(`div`,{className:I.row,children:[(0,A.jsxs)(`div`,{className:I.who,children:[(0,A.jsxs)(`div`,{className:`row`,children:[(0,A.jsx)(`strong`,{children:c}),(0,A.jsx)(_,{tone:s?`good`:`bad`,children:e.revoked?`Revoked`:i?`Expired`:`Good`})]}),(0,A.jsxs)(`span`,{className:`mono muted`,children:[x(e.subject,200),` · `,x(e.id,60)]})]}),(0,A.jsxs)(`div`,{className:I.may,children:[l.map(([e,t])=>t.length>0&&(0,A.jsxs)(`span`,{children:[(0,A.jsx)(`span`,{className:`muted`,children:e}),` `,x(t.join(`, `),300)]},e)),e.tenant&&(0,A.jsxs)(`span`,{children:[`tenant `,x(e.tenant,100)]})]}),(0,A.jsxs)(`div`,{className:I.may,children:[(0,A.jsx)(`span`,{children:e.revoked?`revoked ${b(e.revoked)}`:`${i?`ended`:`ends`} ${b(e.expires)}`}),(0,A.jsxs)(`span`,{className:`muted`,title:x(e.createdBy,300),children:[`made `,b(e.created),`, `,e.lastUsed?`used ${b(e.lastUsed)}`:`never used`]})]}),(0,A.jsxs)(`div`,{className:`row`,children:[(0,A.jsx)(a,{className:`ui-button`,href:`/audit?principal=${encodeURIComponent(`*|${e.subject}`)}`,children:`Records`}),t&&s&&(0,A.jsx)(p,{label:`Revoke`,title:`Revoke ${c}`,confirm:`Revoke it`,danger:!0,act:async()=>{let{error:t}=await r({id:e.id});if(t)return(0,A.jsx)(h,{error:t});n()},children:(0,A.jsx)(`p`,{children:`It is refused on every node from now on, and what was opened with it ends. This cannot be undone.`})})]})]})}export{L as default};